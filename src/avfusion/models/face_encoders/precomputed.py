"""Face maps that were computed when the store was prepared."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn


class Precomputed(nn.Module):
    """Hand on the face maps of a stream, such as ``features.face_maps`` puts into a store.

    ``shape`` is that of a clip's maps, [pictures, channels, rows, columns]. The encoder that made
    them is no part of the network and does not learn; its weights travel in the checkpoint, beside
    those of the network, so that recordings can be predicted.
    """

    def __init__(self, shape: Sequence[int], stream: str = "face_map") -> None:
        super().__init__()
        if len(shape) != 4:
            raise ValueError(
                f"The stream {stream} holds arrays of shape {list(shape)} and no face maps, "
                "[pictures, channels, rows, columns]: model/face_encoder=precomputed reads others."
            )
        self.stream = stream
        self.channels = shape[1]

    def forward(
        self, maps: Float[Tensor, "batch pictures channels rows columns"]
    ) -> Float[Tensor, "batch channels pictures rows columns"]:
        """Put the channels first."""
        return maps.transpose(1, 2)
