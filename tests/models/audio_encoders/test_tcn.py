import numpy as np
import pytest
import torch

from avfusion.models.audio_encoders import TCN


def test_equals_sums_over_true_neighbors_frame_by_frame():
    encoder = TCN([0.0] * 6, [1.0] * 6, hidden_dim=5, num_layers=3, kernel=3).double()
    audio = torch.randn(1, 9, 6, dtype=torch.double)
    tokens, _ = encoder(audio, torch.tensor([7]))
    hidden = audio[0, :7].numpy() @ encoder.enter.weight.detach().numpy().T
    for depth, convolution in enumerate(encoder.convolutions):
        filters, bias = (parameter.detach().numpy() for parameter in convolution.parameters())
        sums = np.tile(bias, (7, 1))
        for frame in range(7):
            for tap, there in enumerate(frame + (np.arange(3) - 1) * 2**depth):
                if 0 <= there < 7:
                    sums[frame] += filters[:, :, tap] @ hidden[there]
        spread = np.sqrt(sums.var(axis=1, keepdims=True) + 1e-5)
        hidden = hidden + ((sums - sums.mean(axis=1, keepdims=True)) / spread).clip(min=0)
    torch.testing.assert_close(tokens[0, :7], torch.from_numpy(hidden), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("num_layers", "reach"), [(1, 1), (2, 3), (3, 7)])
def test_each_layer_reaches_twice_as_far(num_layers, reach):
    encoder = TCN([0.0] * 6, [1.0] * 6, hidden_dim=16, num_layers=num_layers).double()
    audio = torch.randn(1, 31, 6, dtype=torch.double, requires_grad=True)
    encoder(audio, torch.tensor([31]))[0][0, 15].square().sum().backward()
    heard = audio.grad[0].any(dim=-1).nonzero().flatten()
    assert (heard.min().item(), heard.max().item()) == (15 - reach, 15 + reach)


@pytest.mark.parametrize("kernel", [0, 2])
def test_a_kernel_without_a_middle_is_refused(kernel):
    with pytest.raises(ValueError, match=f"kernel must be odd, .*got {kernel}"):
        TCN([0.0], [1.0], kernel=kernel)
