import pytest
import torch

from avfusion.models.audio_encoders import GRU

LENGTHS = torch.tensor([6, 2, 4])


def reference_states(gru: torch.nn.GRU, frames: torch.Tensor, depth: int) -> torch.Tensor:
    """The gates of Cho et al., written out for one clip; torch resets after the product."""
    for layer in range(depth):
        weights = (getattr(gru, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh"))
        biases = (getattr(gru, f"{name}_l{layer}") for name in ("bias_ih", "bias_hh"))
        (of_input, of_state), (input_bias, state_bias) = weights, biases
        state, states = torch.zeros(of_state.shape[1]).double(), []
        for frame in frames:
            ours = (of_input @ frame + input_bias).chunk(3)
            before = (of_state @ state + state_bias).chunk(3)
            reset, update = (torch.sigmoid(ours[k] + before[k]) for k in (0, 1))
            new = torch.tanh(ours[2] + reset * before[2])
            state = update * state + (1 - update) * new
            states.append(state)
        frames = torch.stack(states)
    return frames


@pytest.mark.parametrize("num_layers", [1, 2])
def test_equals_gates_written_out_clip_by_clip(num_layers):
    encoder = GRU([0.25] * 6, [1.5] * 6, hidden_dim=5, num_layers=num_layers).double()
    audio = torch.randn(3, 6, 6, dtype=torch.double)
    tokens, vector = encoder(audio, LENGTHS)
    for clip, length, seen, summary in zip(audio, LENGTHS, tokens, vector, strict=True):
        states = reference_states(encoder.layers, (clip[:length] - 0.25) / 1.5, num_layers)
        torch.testing.assert_close(seen[:length], states, rtol=0, atol=1e-12)
        torch.testing.assert_close(summary, states.mean(dim=0), rtol=0, atol=1e-12)


def test_dropout_acts_between_layers_in_training_only():
    audio = torch.randn(3, 6, 6)
    for num_layers, changes in ((1, False), (2, True)):
        encoder = GRU([0.0] * 6, [1.0] * 6, hidden_dim=5, num_layers=num_layers, dropout=0.5)
        evaluated = encoder.eval()(audio, LENGTHS)[1]
        assert torch.equal(evaluated, encoder.train()(audio, LENGTHS)[1]) is not changes
