import numpy as np
import pytest
import torch

from avfusion.models.layers.bilinear_map import BilinearMap, outer_product


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_bilinear_map_of_torch(leading, bias):
    ours, (face, audio) = BilinearMap(6, 4, 5, bias=bias).double(), vectors(*leading)
    theirs = torch.nn.Bilinear(6, 4, 5, bias=bias).double()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(face, audio), theirs(face, audio))


def test_the_outer_product_runs_row_by_row():
    face, audio = vectors()
    assert np.array_equal(outer_product(face, audio), np.outer(face, audio).ravel())


def test_weights_are_drawn_so_that_the_mean_square_stays():
    face, audio = torch.randn(200, 30), torch.randn(200, 40)
    mapped = BilinearMap(30, 40, 500)(face, audio)
    assert mapped.square().mean().item() == pytest.approx(1, rel=0.1)
