import pytest
import torch
from conftest import build, load, toy_clips, toy_description
from hydra.utils import instantiate
from torch import nn


class Known(nn.Module):
    channels, stream = 512, "frames"

    def __init__(self, face_map: torch.Tensor | None = None) -> None:
        super().__init__()
        self.face_map = face_map

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        return self.face_map


def network(face_encoder: nn.Module, classes: int = 3) -> nn.Module:
    cfg = load("train", "model=lowrank")
    cfg.description = toy_description(classes)
    del cfg.model.network.face_encoder
    return instantiate(cfg.model.network, face_encoder=face_encoder, _convert_="all")


@pytest.mark.parametrize("classes", [2, 8])
def test_lowrank_on_maps_of_512_channels_has_the_announced_number_of_parameters(classes):
    count = sum(parameter.numel() for parameter in network(Known(), classes).parameters())
    assert count == 1_889_680 + 401 * classes


def test_equals_its_parts_applied_in_turn():
    face_map = torch.randn(3, 512, 1, 14, 14)
    net, clips = network(Known(face_map)), toy_clips(3)
    logits, glimpses, *_ = net(clips)
    voice = net.audio_encoder(clips.streams["mfcc"], clips.lengths["mfcc"])[1]
    weights = net.attention(face_map, voice)[1]
    face = torch.stack(
        [(face_map.flatten(2) * weights[:, [g]]).sum(dim=2) for g in range(2)], dim=1
    ).flatten(1)
    product = torch.relu(net.fusion.face_factors(face)) * torch.relu(
        net.fusion.audio_factors(voice)
    )
    hidden = torch.relu(net.head.hidden(product))
    torch.testing.assert_close(logits, net.head.logits(hidden))
    torch.testing.assert_close(glimpses, weights.view(3, 2, 1, 14, 14))


def test_any_map_with_positions_in_space_and_time_is_accepted():
    glimpses = network(Known(torch.randn(2, 512, 4, 7, 5)))(toy_clips(2)).glimpses
    assert glimpses.shape == (2, 2, 4, 7, 5)


def test_the_answers_from_single_glimpses_see_nothing_of_the_others():
    face_map = torch.randn(3, 512, 1, 14, 14)
    net, clips = network(Known(face_map)), toy_clips(3)
    single = net(clips).single
    voice = net.audio_encoder(clips.streams["mfcc"], clips.lengths["mfcc"])[1]
    face = net.attention(face_map, voice)[0]
    assert single.shape == (2, 3, 3)
    for glimpse, own in enumerate((slice(0, 512), slice(512, 1024))):
        seen = torch.zeros_like(face)
        seen[:, own] = face[:, own]
        torch.testing.assert_close(single[glimpse], net.head(net.fusion(seen, voice)))


def test_single_glimpses_answer_in_training_only_and_where_there_are_several():
    clips = toy_clips(2)
    assert build("lowrank").eval()(clips).single is None
    assert build("lowrank", "model.network.attention.glimpses=1")(clips).single is None


@pytest.mark.parametrize("model", ["lowrank", "concat"])
def test_voice_and_face_both_reach_the_logits(model):
    task, clips = build(model), toy_clips(4)
    logits = task(clips).logits
    assert not torch.allclose(
        logits, task(clips.with_stream("frames", 1 - clips.streams["frames"])).logits
    )
    assert not torch.allclose(
        logits, task(clips.with_stream("mfcc", -clips.streams["mfcc"])).logits
    )
