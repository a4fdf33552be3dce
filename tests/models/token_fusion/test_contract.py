"""Claims about every token fusion."""

import inspect
from importlib import import_module
from pkgutil import iter_modules

import pytest
import torch

from avfusion.models import token_fusion

MODULES = [
    import_module(f"avfusion.models.token_fusion.{module.name}")
    for module in iter_modules(token_fusion.__path__)
]
FUSIONS = [
    kind
    for module in MODULES
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if kind.__module__ == module.__name__
]
LENGTHS = torch.tensor([7, 1, 4])
PADDING = torch.arange(7) >= LENGTHS[:, None]
each_kind = pytest.mark.parametrize("kind", FUSIONS, ids=lambda kind: kind.__name__)


def tokens(count: int, batch: int = 3) -> torch.Tensor:
    return torch.randn(batch, count, 8, dtype=torch.double)


def assert_same(ours, theirs) -> None:
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, rtol=0, atol=1e-12)


def test_every_file_holds_one_token_fusion():
    assert [kind.__module__ for kind in FUSIONS] == [module.__name__ for module in MODULES]


@each_kind
def test_options_have_defaults(kind):
    assert next(iter(inspect.signature(kind).parameters)) == "dim"
    assert kind(8).dim == 8


@each_kind
@pytest.mark.parametrize("positions", [1, 6, 40])
@pytest.mark.parametrize("batch", [1, 3])
def test_tokens_of_any_number_become_a_vector_and_weights_that_sum_to_one(kind, positions, batch):
    fuse = kind(8).double()
    fused, weights = fuse(tokens(positions, batch), tokens(7, batch), LENGTHS[:batch])
    assert fused.shape == (batch, fuse.dim)
    assert weights.shape == (batch, weights.shape[1], positions)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(weights.shape[:2]).double())


@each_kind
@pytest.mark.parametrize("garbage", [0.0, -3.0, 1e6])
def test_values_in_the_padding_change_nothing(kind, garbage):
    fuse, face, audio = kind(8).double(), tokens(6), tokens(7)
    padded = torch.where(PADDING[..., None], garbage, audio)
    assert_same(fuse(face, audio, LENGTHS), fuse(face, padded, LENGTHS))


@each_kind
def test_a_clip_in_a_batch_equals_the_same_clip_alone_without_padding(kind):
    fuse, face, audio = kind(8).double(), tokens(6), tokens(7)
    together = fuse(face, torch.cat([audio, tokens(20)], dim=1), LENGTHS)
    for k, length in enumerate(LENGTHS.tolist()):
        alone = fuse(face[k : k + 1], audio[k : k + 1, :length], LENGTHS[k : k + 1])
        assert_same(alone, [part[k : k + 1] for part in together])


@each_kind
def test_face_tokens_of_padding_have_no_weight_and_change_nothing(kind):
    fuse, face, audio = kind(8).double(), tokens(7), tokens(7)
    together = fuse(face, audio, LENGTHS, ~PADDING)
    for k, length in enumerate(LENGTHS.tolist()):
        one = slice(k, k + 1)
        fused, weights = fuse(face[one, :length], audio[one], LENGTHS[one])
        assert_same((fused, weights), (together[0][one], together[1][one, :, :length]))
        assert not together[1][k, :, length:].any()


@each_kind
def test_only_true_tokens_receive_a_gradient(kind):
    face, audio = tokens(6).requires_grad_(), tokens(7).requires_grad_()
    kind(8).double()(face, audio, LENGTHS)[0].pow(2).sum().backward()
    assert not audio.grad[PADDING].any()
    assert audio.grad[~PADDING].any(dim=-1).all()
    assert face.grad.any(dim=-1).all()


@each_kind
def test_each_modality_changes_what_is_made_of_the_other(kind):
    fuse, (face, other_face), audio = kind(8).double(), tokens(6, 2), tokens(7, 2)
    face, other_face = face[None], other_face[None]
    results = [
        [fuse(seen, audio[k : k + 1], LENGTHS[:1])[0] for k in range(2)]
        for seen in (face, other_face)
    ]
    (here, there), (here_too, there_too) = results
    assert ((here - there) - (here_too - there_too)).abs().max() > 1e-4


@each_kind
def test_the_glimpses_depend_on_the_voice(kind):
    fuse, face, audio = kind(8).double(), tokens(6, 1).expand(2, -1, -1), tokens(7, 2)
    weights = fuse(face, audio, LENGTHS[:1].expand(2))[1]
    assert (weights[0] - weights[1]).abs().max() > 1e-4


@each_kind
def test_every_parameter_receives_a_gradient(kind):
    fuse = kind(8).double()
    fuse(tokens(6), tokens(7), LENGTHS)[0].pow(3).sum().backward()
    assert all(parameter.grad.abs().max() > 1e-9 for parameter in fuse.parameters())


@each_kind
def test_a_set_of_positions_has_no_order_of_its_own(kind):
    fuse, face, audio = kind(8).double(), tokens(6), tokens(7)
    order = torch.randperm(6)
    fused, weights = fuse(face, audio, LENGTHS)
    assert_same(fuse(face[:, order], audio, LENGTHS), (fused, weights[..., order]))


@each_kind
def test_half_precision_stays_near_full_precision(kind):
    fuse, face, audio = kind(8), tokens(6).float(), tokens(7).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fused, weights = fuse(face, audio, LENGTHS)
    full, full_weights = fuse(face, audio, LENGTHS)
    torch.testing.assert_close(fused.float(), full, rtol=0.1, atol=0.1)
    torch.testing.assert_close(weights.float(), full_weights, rtol=0.1, atol=0.02)


@each_kind
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num_heads": 3}, "dim must be a multiple of num_heads, got dim=8 and num_heads=3"),
        ({"num_layers": 0}, "0"),
    ],
)
def test_widths_and_layers_that_cannot_be_built_are_refused(kind, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        kind(8, **options)
