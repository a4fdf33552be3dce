from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import SHARED
from torch import Tensor, nn

from avfusion.models.fusion.bilinear import BilinearFusion
from avfusion.models.fusion.block import BlockFusion
from avfusion.models.fusion.block_tucker import BlockTuckerFusion
from avfusion.models.fusion.concat_mlp import ConcatMLPFusion
from avfusion.models.fusion.film import FiLMFusion
from avfusion.models.fusion.gated import GatedFusion
from avfusion.models.fusion.lmf import LMFFusion
from avfusion.models.fusion.lowrank import LowRankFusion
from avfusion.models.fusion.mcb import MCBFusion
from avfusion.models.fusion.mfb import MFBFusion
from avfusion.models.fusion.mutan import MutanFusion
from avfusion.models.fusion.sum import SumFusion
from avfusion.models.fusion.tensor import TensorFusion
from avfusion.models.fusion.tucker import TuckerFusion
from avfusion.models.layers.count_sketch import CountSketch

FOLDER = SHARED / "reference"
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no numbers of published code: AVFUSION_SHARED has no {FOLDER.name}",
)

FACTORS = {"face_factors": "linear0", "audio_factors": "linear1", "output": "linear_out"}
INPUTS = {"face_input": "linear0", "audio_input": "linear1", "output": "linear_out"}
SKETCHES = {
    "face_sketch.hashes": "sketch1.h",
    "face_sketch.signs": "sketch1.s",
    "audio_sketch.hashes": "sketch2.h",
    "audio_sketch.signs": "sketch2.s",
}


class Reference(NamedTuple):
    """A fusion with the settings of a file, and how the file names and arranges its numbers."""

    fusion: nn.Module
    names: dict[str, str]
    rectified: bool = False  # the published code puts a relu on logits that are linear here
    arrange: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType({})


REFERENCES = {
    "mlb": lambda: Reference(LowRankFusion(12, 10, 7, rank=16), FACTORS, rectified=True),
    "mlb_paper_tanh": lambda: Reference(LowRankFusion(12, 10, 7, "tanh", rank=16), FACTORS),
    "mfb": lambda: Reference(
        MFBFusion(12, 10, 7, width=8, factor=5, activation="relu", normalize=False), FACTORS, True
    ),
    "mutan": lambda: Reference(
        MutanFusion(12, 10, 7, width=16, rank=3),
        INPUTS | {"face_factors": "merge_linear0", "audio_factors": "merge_linear1"},
    ),
    "tucker": lambda: Reference(TuckerFusion(12, 10, 7, width=8), INPUTS | {"core": "bilinear"}),
    "block": lambda: Reference(
        BlockFusion(12, 10, 7, width=20, chunks=4, rank=3, eps=0),
        INPUTS | {"face_factors": "merge_linears0", "audio_factors": "merge_linears1"},
    ),
    "block_tucker": lambda: Reference(
        BlockTuckerFusion(12, 10, 7, width=20, chunks=4, eps=0), INPUTS | {"cores": "bilinears"}
    ),
    "linear_sum": lambda: Reference(SumFusion(12, 10, 7, width=16), INPUTS, rectified=True),
    "concat_mlp": lambda: Reference(
        ConcatMLPFusion(12, 10, 7, hidden=[16, 11]), {"layers": "mlp.linears"}
    ),
    "cbp_raw": lambda: Reference(MCBFusion(12, 10, 32, normalize=False), SKETCHES),
    "mcb_signedsqrt_l2": lambda: Reference(
        MCBFusion(12, 10, 13, eps=0), {ours: f"cbp.{theirs}" for ours, theirs in SKETCHES.items()}
    ),
    "lmf": lambda: Reference(
        LMFFusion(12, 10, 7, rank=4),
        {
            "face_factors": "factor0",
            "audio_factors": "factor1",
            "weights": "core.fusion_weights",
            "bias": "core.fusion_bias",
        },
        arrange={"weights": lambda row: row[0], "bias": lambda row: row[0]},
    ),
    "tensor_fusion": lambda: Reference(TensorFusion(12, 10), {}),
    "mi_matrix": lambda: Reference(
        BilinearFusion(12, 10, 7),
        {
            "product.weight": "W",
            "face_term.weight": "U",
            "audio_term.weight": "V",
            "face_term.bias": "b",
        },
        arrange={
            "product.weight": lambda tensor: tensor.permute(2, 0, 1),
            "face_term.weight": Tensor.t,
            "audio_term.weight": Tensor.t,
        },
    ),
    "ogm_film": lambda: Reference(
        FiLMFusion(12, 12, 7, condition="face"), {"scale_and_shift": "fc", "output": "fc_out"}
    ),
    "ogm_gated": lambda: Reference(
        GatedFusion(12, 12, 7, width=9, gate="face"),
        {"face_input": "fc_x", "audio_input": "fc_y", "output": "fc_out"},
    ),
}


def numbers_of(file: str) -> dict[str, Tensor]:
    with np.load(FOLDER / f"{file}.npz") as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files if name != "config"}


def arranged(ours: str, reference: Reference, numbers: dict[str, Tensor], kind: str = "") -> Tensor:
    """The given numbers of one of our parameters or buffers, or their gradients."""
    prefix = max((name for name in reference.names if ours.startswith(name)), key=len)
    theirs = ours.replace(prefix, reference.names[prefix], 1)
    found = [f"{kind}param.{theirs}", f"{kind}buffer.{theirs}"]
    given = next(numbers[name] for name in found if name in numbers)
    return reference.arrange.get(ours, lambda same: same)(given)


def gradients(of: Tensor, fusion: nn.Module, *vectors: Tensor) -> tuple[list[Tensor], dict]:
    """The gradients of a number with respect to the vectors and, by name, to the parameters."""
    names = [name for name, _ in fusion.named_parameters()]
    found = torch.autograd.grad(of, [*vectors, *fusion.parameters()], retain_graph=True)
    return list(found[:2]), dict(zip(names, found[2:], strict=True))


def assert_same(ours: Tensor, theirs: Tensor):
    scale = theirs.abs().max().item()
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-13 * scale)


@pytest.mark.parametrize("file", REFERENCES)
def test_equals_the_published_code_with_all_gradients(file):
    reference, numbers = REFERENCES[file](), numbers_of(file)
    fusion = reference.fusion.double()
    state = {ours: arranged(ours, reference, numbers) for ours in fusion.state_dict()}
    assert len(state) == sum(name.startswith(("param.", "buffer.")) for name in numbers)
    fusion.load_state_dict(state)
    face, audio = numbers["x"].requires_grad_(), numbers["y"].requires_grad_()
    fused = fusion(face, audio)
    out = fused.relu() if reference.rectified else fused
    assert_same(out, numbers["out"])
    of_vectors, of_parameters = gradients(out.sum(), fusion, face, audio)
    products, _ = gradients((out * numbers["cotangent"]).sum(), fusion, face, audio)
    names = ("grad_x", "grad_y", "vjp_x", "vjp_y")
    for ours, name in zip([*of_vectors, *products], names, strict=True):
        assert_same(ours, numbers[name])
    for name, gradient in of_parameters.items():
        assert_same(gradient, arranged(name, reference, numbers, "grad_"))


def test_count_sketches_equal_the_published_ones():
    numbers = numbers_of("count_sketch")
    face, audio = numbers["x"].requires_grad_(), numbers["y"].requires_grad_()
    sketches = [CountSketch(len(numbers[f"buffer.sketch{k}.h"]), bins=8).double() for k in (1, 2)]
    for k, sketch in enumerate(sketches, start=1):
        hashes, signs = numbers[f"buffer.sketch{k}.h"], numbers[f"buffer.sketch{k}.s"]
        sketch.load_state_dict({"hashes": hashes, "signs": signs})
    out = sketches[0](face) + sketches[1](audio)
    assert_same(out, numbers["out"])
    products = torch.autograd.grad((out * numbers["cotangent"]).sum(), [face, audio])
    for ours, name in zip(products, ("vjp_x", "vjp_y"), strict=True):
        assert_same(ours, numbers[name])
