import numpy as np
import pytest
import torch

from avfusion.models.audio_encoders.pooling import AttentivePooling, make_pooling

LENGTHS = torch.tensor([3, 1, 5])


def tokens() -> torch.Tensor:
    return torch.randn(3, 5, 4, dtype=torch.double)


def assert_rows(pooled: torch.Tensor, rows: list[np.ndarray]) -> None:
    torch.testing.assert_close(pooled, torch.from_numpy(np.stack(rows)), rtol=0, atol=1e-12)


def test_mean_pooling_averages_the_true_frames():
    heard = tokens()
    rows = [clip.numpy()[:n].mean(axis=0) for clip, n in zip(heard, LENGTHS, strict=True)]
    assert_rows(make_pooling("mean", 4)(heard, LENGTHS), rows)


def test_statistics_are_the_mean_and_the_deviation_of_the_true_frames():
    heard = tokens()
    rows = []
    for clip, length in zip(heard.numpy(), LENGTHS.tolist(), strict=True):
        deviation = clip[:length].std(axis=0).clip(min=1e-3)  # of one frame it would be zero
        rows.append(np.concatenate([clip[:length].mean(axis=0), deviation]))
    assert_rows(make_pooling("mean+std", 4)(heard, LENGTHS), rows)


def test_frames_that_are_all_alike_have_a_finite_gradient():
    for dtype in (torch.float16, torch.float32):
        heard = torch.ones(2, 5, 4, dtype=dtype, requires_grad=True)
        make_pooling("mean+std", 4)(heard, torch.tensor([5, 1])).sum().backward()
        assert heard.grad.isfinite().all()


def test_last_pooling_takes_the_last_true_frame_and_frame_zero_of_the_backward_part():
    heard = tokens()
    rows = [clip.numpy()[n - 1] for clip, n in zip(heard, LENGTHS, strict=True)]
    assert_rows(make_pooling("last", 4)(heard, LENGTHS), rows)
    both = [
        np.concatenate([row[:1], clip.numpy()[0, 1:]])
        for row, clip in zip(rows, heard, strict=True)
    ]
    assert_rows(make_pooling("last", 4, backward=3)(heard, LENGTHS), both)


def test_attentive_weights_are_a_softmax_of_scores_over_the_true_frames():
    heard, pooling = tokens(), AttentivePooling(4, hidden_dim=6).double()
    weight, bias, row = (parameter.detach().numpy() for parameter in pooling.parameters())
    rows = []
    for clip, length in zip(heard.numpy(), LENGTHS, strict=True):
        scores = np.exp(np.tanh(clip[:length] @ weight.T + bias) @ row[0])
        rows.append((scores / scores.sum()) @ clip[:length])
    assert_rows(pooling(heard, LENGTHS), rows)


@pytest.mark.parametrize("kind", ["mean", "mean+std", "attentive"])
@pytest.mark.parametrize("garbage", [torch.nan, torch.inf])
def test_nan_and_infinity_in_the_padding_change_nothing(kind, garbage):
    heard, pooling = tokens(), make_pooling(kind, 4).double()
    padded = heard.clone()
    padded[torch.arange(5) >= LENGTHS[:, None]] = garbage
    torch.testing.assert_close(pooling(padded, LENGTHS), pooling(heard, LENGTHS))
