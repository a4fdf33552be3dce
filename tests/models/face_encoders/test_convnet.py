import pytest
import torch
from torch import nn

from avfusion.models.face_encoders import ConvNet
from avfusion.models.face_encoders.convnet import WeightStandardizedConv2d


def convnet(**options) -> ConvNet:
    return ConvNet([0.5] * 3, [0.25] * 3, **options).double().eval()


def pictures(batch: int, count: int = 1, height: int = 32, width: int = 32) -> torch.Tensor:
    return torch.rand(batch, count, 3, height, width, dtype=torch.double)


@pytest.mark.parametrize(("height", "width", "size"), [(112, 112, (14, 14)), (32, 48, (4, 6))])
def test_a_map_has_an_eighth_of_the_sides_and_channels_that_it_announces(height, width, size):
    encoder = convnet(widths=(16, 8, 24))
    assert encoder.channels == 24
    assert encoder(pictures(2, 3, height, width)).shape == (2, 24, 3, *size)


def test_a_uniform_picture_gives_zero_for_any_filters():
    convolution = WeightStandardizedConv2d(3, 5, 3, bias=False).double()
    plain = torch.tensor([0.7] * 3, dtype=torch.double)[:, None, None].expand(1, 3, 8, 8)
    assert convolution(plain).abs().max() < 1e-12


def test_scale_and_mean_of_the_filters_do_not_matter():
    convolution, face = WeightStandardizedConv2d(3, 5, 3, bias=False).double(), pictures(2)[:, 0]
    torch.nn.init.normal_(convolution.weight)
    before = convolution(face)
    with torch.no_grad():
        convolution.weight.mul_(7).add_(3)
    torch.testing.assert_close(convolution(face), before, rtol=1e-4, atol=0)


def test_filters_keep_the_variance_of_noise():
    convolution, noise = WeightStandardizedConv2d(8, 64, 3, bias=False), torch.randn(4, 8, 32, 32)
    assert convolution(noise).var().item() == pytest.approx(1, abs=0.1)


def test_clips_in_a_batch_do_not_change_each_other():
    encoder, face = convnet().train(), pictures(4)
    alone = torch.cat([encoder(face[k : k + 1]) for k in range(4)])
    torch.testing.assert_close(encoder(face), alone, rtol=0, atol=1e-12)


def test_each_picture_is_encoded_by_itself_in_its_place():
    encoder, face = convnet(), pictures(2, 3)
    each = torch.cat([encoder(face[:, k : k + 1]) for k in range(3)], dim=2)
    torch.testing.assert_close(encoder(face), each, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_change_in_a_quarter_of_the_picture_shows_in_that_quarter_of_the_map(down, right):
    encoder, face = convnet(), pictures(1, height=64, width=64).repeat(2, 1, 1, 1, 1)
    quarter = (slice(None), slice(None), slice(32 * down, 32 * down + 32))
    face[1][(*quarter, slice(32 * right, 32 * right + 32))] *= 0.5
    before, after = encoder(face)
    change = (after - before).abs().sum(dim=(0, 1))
    quarters = change.unfold(0, 4, 4).unfold(1, 4, 4).sum(dim=(2, 3))
    assert divmod(quarters.argmax().item(), 2) == (down, right)


@pytest.mark.parametrize(("row", "column"), [(6, 6), (7, 9)])
def test_the_receptive_field_of_a_cell_is_centered_on_its_place(row, column):
    encoder, face = convnet(), pictures(1, height=112, width=112).requires_grad_()
    for number, layer in enumerate(encoder.layers):
        if isinstance(layer, nn.GroupNorm | nn.ReLU):  # statistics see the whole picture
            encoder.layers[number] = nn.Identity()
    encoder(face)[0, :, 0, row, column].sum().backward()
    seen = face.grad[0, 0].any(dim=0)
    for axis, cell in ((1, row), (0, column)):
        pixels = seen.any(dim=axis).nonzero()
        center = (pixels.min() + pixels.max() + 1).item() / 2
        assert center == pytest.approx(8 * (cell + 0.5), abs=1)


@pytest.mark.parametrize(("size", "cells"), [(28, 4), (30, 4), (32, 4), (36, 5)])
def test_sides_that_eight_does_not_divide_are_rounded_up(size, cells):
    assert convnet()(pictures(1, height=size, width=size)).shape[-2:] == (cells, cells)


def test_pictures_are_normalized_channel_by_channel():
    mean, std = torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.2, 0.3, 0.4])
    encoder = ConvNet(mean.tolist(), std.tolist())
    plain = ConvNet([0.0] * 3, [1.0] * 3)
    plain.layers.load_state_dict(encoder.layers.state_dict())
    face = pictures(2).float()
    expected = (face - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(encoder(face), plain(expected))


def test_memory_with_channels_last_gives_the_same_map():
    encoder, face = convnet(), pictures(2, 2)
    last = face.movedim(2, -1).contiguous().movedim(-1, 2)
    assert not last.is_contiguous()
    torch.testing.assert_close(encoder(last), encoder(face), rtol=0, atol=1e-12)


@pytest.mark.parametrize("widths", [(64,), (32, 60)])
def test_widths_that_cannot_be_built_are_refused(widths):
    with pytest.raises(ValueError, match="two or more widths, multiples of norm_groups=8"):
        convnet(widths=widths, norm_groups=8)
