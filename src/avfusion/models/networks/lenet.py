"""LeNet-5, the control that reads pictures of anything."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.data.batch import Clips
from avfusion.models.layers.normalize import Normalize
from avfusion.models.networks.missing_modality import (
    Missing,
    MissingModality,
    ModalityDropout,
    name_stand_in,
)
from avfusion.models.networks.scores import ModuleFactory, Scores

INPUT_SIZE = 32  # pixels of a side that the first fully connected layer is made for
POOLED_SIZE = 5  # rows and columns of the last map, at that size


class LeNet(nn.Module):
    """Two convolutions, each pooled, and three fully connected layers, two of them the head's.

    Smaller pictures get a black frame, as digits of 28 pixels had; maps of larger ones are averaged
    down to the size that is known. Several pictures of a clip are averaged as vectors. LeCun et
    al., 1998, https://doi.org/10.1109/5.726791, in the form that the notes of 2017 have: ReLU,
    max pooling instead of weighted means, every channel seen by every filter.

    ``channels`` are those of its first filters: 3, as the notes have them for colors, or 1, as they
    have it for digits: the mean of the normalized colors, which of a gray picture is the picture.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        head: ModuleFactory,
        modality_dropout: float = 0.0,
        missing: Missing = None,
        channels: int = 3,
        stream: str = "frames",
    ) -> None:
        super().__init__()
        if channels not in (1, 3):
            raise ValueError(
                f"model.network.channels must be 3 (colors) or 1 (their mean), got {channels}."
            )
        self.stream = stream
        self.channels = channels
        self.modality_dropout = ModalityDropout(modality_dropout)
        self.missing = name_stand_in(missing, modality_dropout, imagines=False)
        self.no_face = MissingModality(120, learned=self.missing == "learned")
        self.normalize = Normalize(mean, std)
        self.lower = nn.Conv2d(channels, 6, 5)
        self.upper = nn.Conv2d(6, 16, 5)
        self.seen = nn.Linear(16 * POOLED_SIZE * POOLED_SIZE, 120)
        self.head = head(120)

    def forward(self, clips: Clips) -> Scores:
        """Classify by pictures alone: logits ``[batch, classes]`` and no glimpses."""
        clips = self.modality_dropout(clips)
        pictures = clips.streams[self.stream]
        padded = _pad_to_input_size(pictures).flatten(0, 1)
        normalized = self.normalize(padded.movedim(1, -1)).movedim(-1, 1)
        if self.channels == 1:
            normalized = normalized.mean(dim=1, keepdim=True)

        lower = F.max_pool2d(F.relu(self.lower(normalized)), 2)
        upper = F.max_pool2d(F.relu(self.upper(lower)), 2)
        pooled = F.adaptive_avg_pool2d(upper, POOLED_SIZE)
        vectors = F.relu(self.seen(pooled.flatten(1)))
        face = vectors.unflatten(0, pictures.shape[:2]).mean(dim=1)
        return Scores(self.head(self.no_face(face, clips.has_face, clips.all_have_face)), None)


def _pad_to_input_size(
    face: Float[Tensor, "batch pictures 3 height width"],
) -> Float[Tensor, "batch pictures 3 rows columns"]:
    high, wide = (max(0, INPUT_SIZE - side) for side in face.shape[-2:])
    return F.pad(face, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
