import numpy as np
import pytest
import torch

from avfusion.models.fusion.lowrank import LowRankFusion


def numbers(fuse: LowRankFusion) -> list[np.ndarray]:
    return [parameter.detach().numpy() for parameter in fuse.parameters()]


def vectors() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(3, 6, dtype=torch.double), torch.randn(3, 4, dtype=torch.double)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_equals_the_product_of_two_activated_linear_maps(activation):
    fuse, (face, audio) = LowRankFusion(6, 4, dim=5, activation=activation).double(), vectors()
    face_weight, face_bias, audio_weight, audio_bias = numbers(fuse)
    function = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh}[activation]
    expected = function(face.numpy() @ face_weight.T + face_bias) * function(
        audio.numpy() @ audio_weight.T + audio_bias
    )
    torch.testing.assert_close(fuse(face, audio), torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_where_the_rectifier_is_open_equals_the_full_tensor_that_it_factorizes():
    fuse, (face, audio) = LowRankFusion(6, 4, dim=5).double(), vectors()
    for factors in (fuse.face_factors, fuse.audio_factors):
        torch.nn.init.constant_(factors.bias, 100.0)
    face_weight, face_bias, audio_weight, audio_bias = numbers(fuse)
    with_one = np.hstack([face_weight, face_bias[:, None]])
    tensor = np.einsum("ki,kj->kij", with_one, np.hstack([audio_weight, audio_bias[:, None]]))
    assert {np.linalg.matrix_rank(slice_of_it) for slice_of_it in tensor} == {1}
    face_one, audio_one = (np.hstack([vector.numpy(), np.ones((3, 1))]) for vector in (face, audio))
    full = np.einsum("kij,bi,bj->bk", tensor, face_one, audio_one)
    torch.testing.assert_close(fuse(face, audio), torch.from_numpy(full), rtol=1e-12, atol=0)


def test_biases_begin_at_one():
    fuse = LowRankFusion(6, 4, dim=5)
    torch.testing.assert_close(fuse(torch.zeros(1, 6), torch.zeros(1, 4)), torch.ones(1, 5))


def test_an_activation_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"one of \['none', 'relu', 'tanh'\], got 'gelu'"):
        LowRankFusion(6, 4, activation="gelu")


def test_with_a_rank_an_output_map_follows_and_with_normalize_signed_roots_of_length_one():
    fuse = LowRankFusion(6, 4, 5, rank=7, normalize=True, eps=0).double()
    face, audio = vectors()
    product = LowRankFusion(6, 4, 7).double()
    product.load_state_dict(
        {name: part for name, part in fuse.state_dict().items() if "output" not in name}
    )
    roots = np.sqrt(product(face, audio).detach().numpy())
    normal = roots / np.linalg.norm(roots, axis=-1, keepdims=True)
    expected = normal @ fuse.output.weight.detach().numpy().T + fuse.output.bias.detach().numpy()
    torch.testing.assert_close(fuse(face, audio), torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_has_a_map_per_modality_and_with_a_rank_one_more():
    for rank, parameters in ((None, 5 * (7 + 5)), (3, 3 * (7 + 5) + 5 * (3 + 1))):
        fuse = LowRankFusion(6, 4, 5, rank=rank)
        assert sum(parameter.numel() for parameter in fuse.parameters()) == parameters
