import pytest
import torch
import torch.nn.functional as F
from conftest import build, toy_clips


def test_at_32_pixels_it_has_exactly_the_parameters_of_the_notes():
    network = build("lenet", classes=10).network
    assert sum(p.numel() for p in network.parameters()) == (
        (3 * 25 + 1) * 6 + (6 * 25 + 1) * 16 + (400 + 1) * 120 + (120 + 1) * 84 + (84 + 1) * 10
    )


def test_at_32_pixels_it_is_the_function_of_the_notes():
    network, clips = build("lenet").network, toy_clips(5, size=32)
    x = clips.streams["frames"][:, 0]  # with the statistics of a toy, normalization does nothing
    x = F.max_pool2d(F.relu(F.conv2d(x, network.lower.weight, network.lower.bias)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, network.upper.weight, network.upper.bias)), 2)
    x = F.relu(F.linear(x.reshape(-1, 16 * 5 * 5), network.seen.weight, network.seen.bias))
    x = F.relu(F.linear(x, network.head.hidden.weight, network.head.hidden.bias))
    logits = F.linear(x, network.head.logits.weight, network.head.logits.bias)
    torch.testing.assert_close(network(clips).logits, logits)


def test_of_one_channel_it_has_the_parameters_that_the_notes_have_for_digits():
    network = build("lenet", "model.network.channels=1", classes=10).network
    assert network.lower.weight.shape == (6, 1, 5, 5)
    assert sum(parameter.numel() for parameter in network.parameters()) == 61_706


def test_a_gray_picture_as_one_channel_is_itself_standardized():
    network, clips = build("lenet", "model.network.channels=1").network, toy_clips(5, size=32)
    network.normalize.mean += 0.25
    network.normalize.std += 1.0
    gray = clips.streams["frames"][:, :, :1].expand(-1, -1, 3, -1, -1)
    x = (gray[:, 0, :1] - 0.25) / 2
    x = F.max_pool2d(F.relu(F.conv2d(x, network.lower.weight, network.lower.bias)), 2)
    x = F.max_pool2d(F.relu(F.conv2d(x, network.upper.weight, network.upper.bias)), 2)
    x = F.relu(F.linear(x.reshape(-1, 16 * 5 * 5), network.seen.weight, network.seen.bias))
    x = F.relu(F.linear(x, network.head.hidden.weight, network.head.hidden.bias))
    logits = F.linear(x, network.head.logits.weight, network.head.logits.bias)
    torch.testing.assert_close(network(clips.with_stream("frames", gray)).logits, logits)


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_other_numbers_of_channels_are_refused(channels):
    with pytest.raises(Exception, match=f"channels must be 3 .* got {channels}"):
        build("lenet", f"model.network.channels={channels}")


def test_a_digit_of_28_pixels_is_padded_with_black_to_32():
    network, clips = build("lenet").network, toy_clips(3, size=28)
    framed = torch.zeros(3, 1, 3, 32, 32)
    framed[..., 2:30, 2:30] = clips.streams["frames"]
    torch.testing.assert_close(
        network(clips).logits, network(clips.with_stream("frames", framed)).logits
    )


@pytest.mark.parametrize("size", [8, 30, 33, 112])
def test_pictures_of_any_size_get_a_logit_per_class(size):
    logits, glimpses, *_ = build("lenet")(toy_clips(2, size=size))
    assert logits.shape == (2, 3) and glimpses is None


def test_ignores_the_audio_and_has_no_parameters_for_it():
    task, clips = build("lenet"), toy_clips(4)
    other = clips.with_stream("mfcc", torch.randn_like(clips.streams["mfcc"]))
    assert torch.equal(task(clips).logits, task(other).logits)
    assert not torch.allclose(
        task(clips).logits, task(clips.with_stream("frames", 1 - clips.streams["frames"])).logits
    )
    assert not any("audio" in name for name in task.state_dict())
