import pytest
import torch

from avfusion.models.networks import Head


def test_equals_one_rectified_layer_and_a_linear_map_in_numpy():
    head, fused = Head(6, 3, hidden_dim=5).double(), torch.randn(4, 6, dtype=torch.double)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    first, bias, last, offset = (parameter.detach().numpy() for parameter in head.parameters())
    expected = (fused.numpy() @ first.T + bias).clip(min=0) @ last.T + offset
    torch.testing.assert_close(head(fused), torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_leading_axes_are_kept():
    assert Head(6, 3)(torch.randn(2, 5, 6)).shape == (2, 5, 3)


def test_dropout_zeroes_that_fraction_of_hidden_units_in_training_only():
    head = Head(6, 2, hidden_dim=4000, dropout=0.25)
    torch.nn.init.constant_(head.hidden.weight, 0.0)
    torch.nn.init.constant_(head.hidden.bias, 1.0)
    torch.nn.init.constant_(head.logits.weight, 1 / 4000)
    fused = torch.zeros(1, 6)
    assert head.eval()(fused)[0, 0].item() == pytest.approx(1, abs=1e-4)
    seen = torch.stack([head.train()(fused)[0, 0] for _ in range(20)])
    assert seen.std() > 1e-3
    assert seen.mean().item() == pytest.approx(1, abs=0.02)
    kept = head.dropout(torch.ones(4000)).count_nonzero().item()
    assert kept / 4000 == pytest.approx(0.75, abs=0.03)
