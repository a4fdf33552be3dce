"""Small convolutional network, trained from scratch."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_he
from avfusion.models.layers.normalize import Normalize


class WeightStandardizedConv2d(nn.Conv2d):
    """A convolution without bias whose filters each have zero mean, and variance 1 / fan-in.

    Qiao et al., 2019, https://arxiv.org/abs/1903.10520. Beside GroupNorm, whose statistics channels
    share, it keeps the mean of each channel near zero as BatchNorm would: without it, the
    brightness of a picture drowns what is drawn there.
    """

    def forward(
        self, input: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch more rows columns"]:
        """Convolve with the standardized filters."""
        filters = F.layer_norm(self.weight, self.weight.shape[1:])
        scale = self.weight[0].numel() ** -0.5
        return self._conv_forward(input, filters * scale, None)  # private: padding and stride


class CenteredPad(nn.Module):
    """Zero padding for 3 x 3 filters with a stride of two.

    An even number of rows or columns needs only one more, before or after them. With one on each
    side, as is usual, the receptive field of a cell lies half a pixel up and left of its position;
    ``before`` moves it up and left by half a pixel, the opposite down and right.
    """

    def __init__(self, before: bool) -> None:
        super().__init__()
        self.before = before

    def forward(
        self, input: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels padded_height padded_width"]:
        """Pad the two last axes."""
        sides = [
            (1, int(size % 2 == 1)) if self.before else (int(size % 2 == 1), 1)
            for size in (input.shape[3], input.shape[2])
        ]
        return F.pad(input, [*sides[0], *sides[1]])


class ConvNet(nn.Module):
    """Encode pictures of ``size`` pixels as maps of ``size / 8`` rows: 112 gives 14 x 14.

    Pixels are folded two by two into channels, then 3 x 3 convolutions of ``widths`` channels
    follow, two of them with a stride of two and padded on opposite sides, so that the receptive
    field of a cell is centered on its position in the picture, to within a pixel. GroupNorm of
    ``norm_groups`` groups instead of BatchNorm: neither the number of processes nor the batch size
    changes the function. Wu and He, 2018, https://arxiv.org/abs/1803.08494.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        widths: Sequence[PositiveInt] = (32, 64, 64),
        norm_groups: PositiveInt = 1,
        stream: str = "frames",
    ) -> None:
        super().__init__()
        if len(widths) < 2 or any(width % norm_groups for width in widths):
            raise ValueError(
                f"ConvNet needs two or more widths, multiples of norm_groups={norm_groups}, "
                f"got {widths}."
            )
        if len(mean) not in (0, 3):
            raise ValueError(
                f"ConvNet sees pictures of three colors, and the stream {stream} has {len(mean)} "
                "features: set model.network.face_encoder.stream=frames."
            )

        self.stream = stream
        self.channels = widths[-1]
        self.normalize = Normalize(mean, std)

        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        before = 12
        for depth, width in enumerate(widths):
            if depth < 2:
                layers += [CenteredPad(before=depth == 1)]
                layers += [WeightStandardizedConv2d(before, width, 3, stride=2, bias=False)]
            else:
                layers += [WeightStandardizedConv2d(before, width, 3, padding=1, bias=False)]
            layers += [nn.GroupNorm(norm_groups, width), nn.ReLU(inplace=True)]
            before = width

        self.layers = nn.Sequential(*layers)
        init_he(self)

    def forward(
        self, face: Float[Tensor, "batch pictures 3 height width"]
    ) -> Float[Tensor, "batch channels pictures rows columns"]:
        """Encode each picture as a map."""
        pictures = self.normalize(face.movedim(2, -1)).movedim(-1, 2)
        maps = self.layers(pictures.flatten(0, 1))
        return maps.unflatten(0, face.shape[:2]).transpose(1, 2)
