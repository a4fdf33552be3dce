import numpy as np
import torch

from avfusion.models.layers.masked_softmax import masked_softmax


def test_weights_of_true_positions_are_their_softmax_and_the_others_have_none():
    logits = torch.randn(2, 3, 5)
    mask = torch.tensor([[True, False, True, True, False], [True] * 5])
    weights = masked_softmax(logits, mask)
    for clip in range(2):
        true = logits[clip][:, mask[clip]].numpy()
        expected = np.exp(true) / np.exp(true).sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(weights[clip][:, mask[clip]].numpy(), expected, rtol=1e-5)
    assert not weights[0][:, ~mask[0]].any()
    assert torch.equal(masked_softmax(logits), logits.softmax(dim=-1))
