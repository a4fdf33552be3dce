"""The control that knows nothing of faces: pictures as anything else."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.data.batch import Clips
from avfusion.models.layers.normalize import Standardise
from avfusion.models.networks.missing_modality import ModalityDropout, Placeholder
from avfusion.models.networks.scores import Part, Scores

FIELD = 32  # pixels of a side that the first fully connected layer is made for
CELLS = 5  # of the pooled map's side, at that size


class LeNet(nn.Module):
    """Two convolutions, each pooled, and three fully connected layers, two of them the head's.

    Smaller pictures get a black frame, as digits of 28 pixels had; maps of larger ones are averaged
    down to the size that is known. Several pictures of a clip are averaged as vectors. LeCun et
    al., 1998, https://doi.org/10.1109/5.726791, in the form that the notes of 2017 have: ReLU,
    largest values instead of weighted means, every channel seen by every filter.

    ``channels`` are those of its first filters: 3, as the notes have them for colors, or 1, as they
    have it for digits: the mean of the standardized colors, which of a gray picture is the picture.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        head: Part,
        modality_dropout: float = 0.0,
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
        self.no_face = Placeholder(120, learned=modality_dropout > 0)
        self.standardise = Standardise(mean, std)
        self.lower = nn.Conv2d(channels, 6, 5)
        self.upper = nn.Conv2d(6, 16, 5)
        self.seen = nn.Linear(16 * CELLS * CELLS, 120)
        self.head = head(120)

    def forward(self, clips: Clips) -> Scores:
        """Return logits ``[batch, classes]``."""
        clips = self.modality_dropout(clips)
        pictures = clips.streams[self.stream]
        face = framed(pictures).flatten(0, 1)
        standard = self.standardise(face.movedim(1, -1)).movedim(-1, 1)
        if self.channels == 1:
            standard = standard.mean(dim=1, keepdim=True)
        lower = F.max_pool2d(F.relu(self.lower(standard)), 2)
        upper = F.max_pool2d(F.relu(self.upper(lower)), 2)
        cells = F.adaptive_avg_pool2d(upper, CELLS)
        seen = F.relu(self.seen(cells.flatten(1)))
        vector = seen.unflatten(0, pictures.shape[:2]).mean(dim=1)
        return Scores(self.head(self.no_face(vector, clips.has_face)), None)


def framed(
    face: Float[Tensor, "batch pictures 3 height width"],
) -> Float[Tensor, "batch pictures 3 rows columns"]:
    """Put black around pictures that are smaller than the field."""
    high, wide = (max(0, FIELD - side) for side in face.shape[-2:])
    return F.pad(face, (wide // 2, wide - wide // 2, high // 2, high - high // 2))
