import inspect
import re
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import jaxtyping
import pytest
import torch
from conftest import CONF
from hydra.utils import instantiate
from omegaconf import OmegaConf

from avfusion.models import fusion
from avfusion.models.cost import count_parameters

MODULES = [
    import_module(f"avfusion.models.fusion.{module.name}")
    for module in iter_modules(fusion.__path__)
]
FUSIONS = [
    kind
    for module in MODULES
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if kind.__module__ == module.__name__
]
ids = pytest.mark.parametrize("kind", FUSIONS, ids=lambda kind: kind.__name__)


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(*leading, 6), torch.randn(*leading, 4)


def test_every_file_holds_one_fusion():
    assert [kind.__module__ for kind in FUSIONS] == [module.__name__ for module in MODULES]


def test_the_table_of_fusions_has_all_of_them_with_their_numbers_of_parameters():
    text = (Path(fusion.__file__).parent / "README.md").read_text()
    formulas = re.findall(r"^\| `(\w+)` \| z = ", text, re.MULTILINE)
    rows = re.findall(r"^\| (\w+) \| ([\d,]+) \| ([\d,]+) \| (\d+) \|$", text, re.MULTILINE)
    files = sorted(module.__name__.rpartition(".")[2] for module in MODULES)
    assert sorted(name for name, *_ in rows) == files == sorted(formulas)
    for name, default, wide, dim in rows:
        make = instantiate(OmegaConf.load(CONF / "model" / f"{name}.yaml").network.fusion)
        counts = [count_parameters(make(*widths)) for widths in ((128, 512), (512, 256))]
        assert counts == [int(count.replace(",", "")) for count in (default, wide)]
        assert make(128, 512).dim == int(dim)


@ids
def test_a_face_and_an_audio_vector_become_one_of_dim_numbers(kind):
    fuse = kind(6, 4, dim=5)
    assert fuse.dim == 5
    assert fuse(*vectors(3)).shape == (3, 5)


@ids
def test_options_have_defaults(kind):
    parameters = inspect.signature(kind).parameters
    assert [*parameters][:2] == ["face_dim", "audio_dim"]
    assert kind(6, 4)(*vectors(3)).shape == (3, kind(6, 4).dim)


@ids
@pytest.mark.parametrize("leading", [(), (1,), (2, 3, 2)])
def test_leading_axes_are_kept_and_do_not_mix(kind, leading):
    fuse, (face, audio) = kind(6, 4, dim=5).double(), (v.double() for v in vectors(*leading))
    fused = fuse(face, audio)
    each = [fuse(f, a) for f, a in zip(face.reshape(-1, 6), audio.reshape(-1, 4), strict=True)]
    torch.testing.assert_close(fused, torch.stack(each).view(*leading, 5), rtol=0, atol=1e-12)


@ids
def test_both_modalities_change_the_result(kind):
    fuse, (face, audio) = kind(6, 4, dim=16), vectors(1)
    fused = fuse(face, audio)
    assert not torch.allclose(fused, fuse(face + 1, audio))
    assert not torch.allclose(fused, fuse(face, audio + 1))


@ids
@pytest.mark.parametrize("silent", [0, 1])
def test_a_modality_that_is_all_zero_does_not_silence_the_other(kind, silent):
    both = [vector.requires_grad_() for vector in vectors(8)]
    with torch.no_grad():
        both[silent].zero_()
    fused = kind(6, 4, dim=16)(*both)
    fused.sum().backward()
    assert fused.any(dim=-1).all()
    assert both[1 - silent].grad.any(dim=-1).all()


@ids
def test_every_parameter_and_both_modalities_receive_a_gradient(kind):
    fuse, both = kind(6, 4, dim=5), [vector.requires_grad_() for vector in vectors(32)]
    fuse(*both).pow(3).sum().backward()
    assert all(part.grad.any() for part in [*both, *fuse.parameters()])


@ids
def test_half_precision_stays_near_full_precision(kind):
    fuse, (face, audio) = kind(6, 4, dim=16), vectors(32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = fuse(face, audio)
    assert half.isfinite().all()
    torch.testing.assert_close(half.float(), fuse(face, audio), rtol=0.05, atol=0.1)


@ids
def test_one_seed_gives_one_fusion(kind):
    seeded = [torch.manual_seed(3) and kind(6, 4, dim=5).state_dict() for _ in range(2)]
    torch.testing.assert_close(seeded[0], seeded[1], rtol=0, atol=0)


@ids
def test_a_checkpoint_holds_all_that_a_fusion_is(kind):
    torch.manual_seed(1)
    first, (face, audio) = kind(6, 4, dim=5), vectors(3)
    torch.manual_seed(2)
    second = kind(6, 4, dim=5)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(face, audio), second(face, audio))


@pytest.fixture
def unchecked(monkeypatch):
    """Leave out the checks of shapes, which no user has and no graph can hold."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    torch.compiler.reset()


@pytest.mark.slow
@ids
def test_compiles_as_one_graph_with_the_same_result_and_gradient(kind, unchecked):
    fuse, (face, audio) = kind(6, 4, dim=5), vectors(3)
    results = []
    for function in (fuse, torch.compile(fuse, fullgraph=True, backend="aot_eager")):
        leaf = face.clone().requires_grad_()
        fused = function(leaf, audio)
        results.append((fused, *torch.autograd.grad(fused.pow(3).sum(), leaf)))
    torch.testing.assert_close(*results)


@pytest.mark.slow
@ids
def test_exports_for_any_batch(kind, unchecked):
    fuse, batch = kind(6, 4, dim=5), torch.export.Dim("batch")
    exported = torch.export.export(fuse, vectors(3), dynamic_shapes=({0: batch}, {0: batch}))
    face, audio = vectors(7)
    torch.testing.assert_close(exported.module()(face, audio), fuse(face, audio))
