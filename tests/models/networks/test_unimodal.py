import torch
from conftest import build, toy_clips


def test_face_only_ignores_the_audio():
    task, clips = build("face_only"), toy_clips(4)
    logits = task(clips).logits
    assert torch.equal(
        logits, task(clips.with_stream("mfcc", torch.randn_like(clips.streams["mfcc"]))).logits
    )
    assert not torch.allclose(
        logits, task(clips.with_stream("frames", 1 - clips.streams["frames"])).logits
    )


def test_audio_only_ignores_the_face_and_has_no_glimpses():
    task, clips = build("audio_only"), toy_clips(4)
    logits, glimpses, *_ = task(clips)
    assert glimpses is None
    assert torch.equal(
        logits, task(clips.with_stream("frames", 1 - clips.streams["frames"])).logits
    )
    assert not torch.allclose(
        logits, task(clips.with_stream("mfcc", -clips.streams["mfcc"])).logits
    )


def test_face_only_attends_with_its_query_as_the_audio_vector():
    network, clips = build("face_only").network, toy_clips(4)
    face_map = network.face_encoder(clips.streams["frames"])
    face, weights = network.attention(face_map, network.query.repeat(4, 1))
    logits, glimpses, *_ = network(clips)
    torch.testing.assert_close(logits, network.head(face))
    torch.testing.assert_close(glimpses.flatten(2), weights)


def test_controls_hold_no_part_of_the_other_modality():
    assert not any("audio_encoder" in name for name in build("face_only").state_dict())
    assert not any("face_encoder" in name for name in build("audio_only").state_dict())
