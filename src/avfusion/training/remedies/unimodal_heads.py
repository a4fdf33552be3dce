"""Unimodal heads: losses from the face alone and from the voice alone, beside that of both."""

from collections.abc import Callable
from operator import itemgetter

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import NonNegativeFloat
from avfusion.data.batch import Clips
from avfusion.features.clip import MODALITIES
from avfusion.models.networks.scores import Scores
from avfusion.targets import Target


class UnimodalHeads(nn.Module):
    """Predict the target from each encoder alone, by a linear map, and minimize that loss, too.

    So each encoder has to learn what its modality tells, whether or not the other one already
    suffices. ``face``, ``audio`` and ``both`` are the weights of the losses from the face alone,
    from the voice alone, and from both; of a clip without a modality that loss does not count.
    """

    weights: Tensor

    def __init__(
        self,
        network: nn.Module,
        target: Target,
        label_loss: Callable[[Tensor, Clips], Tensor],
        face: NonNegativeFloat = 1.0,
        audio: NonNegativeFloat = 1.0,
        both: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__()
        dims: tuple[int, int] | None = getattr(network, "unimodal_dims", None)
        if dims is None:
            raise ValueError(
                "Unimodal heads need a network with an encoder of each modality, which "
                f"{type(network).__name__} does not have: leave out model.unimodal_heads "
                "(remedy=none), or choose a fusion, such as model=lowrank."
            )

        self.heads = nn.ModuleDict(
            {
                name: nn.Linear(dim, target.outputs)
                for name, dim in zip(MODALITIES, dims, strict=True)
            }
        )
        self.label_loss = label_loss
        self.register_buffer("weights", torch.tensor([face, audio, both]))

    def forward(self, loss: Tensor, scores: Scores, clips: Clips) -> Tensor:
        """Add up the loss of both modalities and those of each alone, by their weights."""
        return (self.weights * torch.stack([*self.losses(scores, clips), loss])).sum()

    def losses(self, scores: Scores, clips: Clips) -> tuple[Tensor, Tensor]:
        """Compute the loss from the face alone and from the voice alone; 0 of no clips."""
        vectors = scores.unimodal
        assert vectors is not None
        return (
            self._loss("face", vectors.face, clips, vectors.has_face),
            self._loss("audio", vectors.audio, clips, vectors.has_audio),
        )

    def _loss(self, modality: str, vectors: Tensor, clips: Clips, there: Tensor) -> Tensor:
        outputs = self.heads[modality](vectors)
        if not there.any():
            return 0 * outputs.sum()  # with a graph: other processes may have such clips
        return self.label_loss(outputs[there], clips.map(itemgetter(there)))

    def set_weights(self, weights: Float[Tensor, "3"]) -> None:
        """Set the weights of the losses from the face, from the voice and from both."""
        self.weights.copy_(weights)
