"""Face maps that were computed before."""

from jaxtyping import Float
from torch import Tensor, nn


class Stored(nn.Module):
    """Hand on the face maps of a store, which ``features.maps`` made it hold.

    Data give them in the place of pictures, ``[batch, pictures, channels, rows, columns]``. The
    encoder that made them is no part of the network and does not learn; its weights travel in the
    checkpoint, beside those of the network, so that recordings can be answered for.
    """

    def __init__(self, channels: int | None) -> None:
        super().__init__()
        if channels is None:
            raise ValueError(
                "model/face_encoder=stored needs a store with face maps, got one without: prepare "
                "it with features.maps.run=<run> or features/maps=timm (data.features.maps.run=... "
                "where training prepares the data itself), or choose another face encoder."
            )
        self.channels = channels

    def forward(
        self, face: Float[Tensor, "batch pictures channels rows columns"]
    ) -> Float[Tensor, "batch channels pictures rows columns"]:
        """Return the face map."""
        return face.transpose(1, 2)


def reads_maps(network: nn.Module) -> bool:
    """Say whether a network looks at stored face maps instead of pictures."""
    return isinstance(getattr(network, "face_encoder", None), Stored)
