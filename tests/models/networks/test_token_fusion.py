import pytest
import torch
from conftest import build, doubled, toy_clips

MODELS = ["crossattention", "bottleneck"]
each_model = pytest.mark.parametrize("model", MODELS)


@each_model
def test_equals_its_parts_applied_in_turn(model):
    net, clips = build(model, narrow=True).network.double(), toy_clips(3)
    clips = doubled(clips)
    face_map = net.face_encoder(clips.streams["frames"])
    frames = net.audio_encoder(clips.streams["mfcc"], clips.lengths["mfcc"])[0]
    face = net.face_tokens.norm(net.face_tokens.project(face_map.flatten(2).transpose(1, 2)))
    audio = net.audio_tokens.norm(net.audio_tokens.project(frames))
    waves = 10_000 ** -(torch.arange(64) / 64)
    angles = torch.arange(12.0)[:, None] * waves
    audio = audio + torch.cat([angles.sin(), angles.cos()], dim=1)
    place = torch.stack(torch.meshgrid(*map(torch.arange, (1, 4, 4)), indexing="ij"), dim=-1)
    angles = place.view(16, 3, 1) * 10_000 ** -(torch.arange(21) / 21)
    grid = torch.cat([angles.sin(), angles.cos()], dim=2).flatten(1)
    face = face + torch.nn.functional.pad(grid, (0, 2))
    fused, weights = net.fusion(face, audio, clips.lengths["mfcc"])
    logits, glimpses, *_ = net(clips)
    torch.testing.assert_close(logits, net.head(fused), rtol=0, atol=1e-6)
    torch.testing.assert_close(glimpses, weights.view(3, 1, 1, 4, 4), rtol=0, atol=1e-6)


@each_model
def test_the_position_of_a_face_and_the_time_of_a_frame_matter(model):
    net, clips = build(model, narrow=True).network, toy_clips(4)
    logits = net(clips).logits
    calm = net.face_encoder.forward
    net.face_encoder.forward = lambda face: calm(face).flip(-1)
    assert (net(clips).logits - logits).abs().max() > 1e-4
    net.face_encoder.forward = calm
    heard = net.audio_encoder.forward

    def shifted(audio, length):
        tokens, vector = heard(audio, length)
        return tokens.flip(1), vector

    clips = clips._replace(lengths={"mfcc": torch.full((4,), 12)})
    logits = net(clips).logits
    net.audio_encoder.forward = shifted
    assert (net(clips).logits - logits).abs().max() > 1e-4


@each_model
def test_the_length_of_a_voice_that_is_missing_changes_nothing(model):
    net, clips = build(model, "model.network.modality_dropout=0.1").network.eval(), toy_clips(4)
    clips = clips._replace(has_audio=torch.tensor([False, True, True, True]))
    other = clips.lengths["mfcc"].clone()
    other[0] = 13 - other[0]
    logits = net(clips).logits
    torch.testing.assert_close(net(clips._replace(lengths={"mfcc": other})).logits, logits)


@pytest.mark.slow
@each_model
@pytest.mark.parametrize("encoder", ["bilstm", "gru", "transformer", "tcn"])
def test_any_audio_encoder_gives_it_tokens(model, encoder):
    task = build(model, f"model/audio_encoder={encoder}")
    assert task(toy_clips(2)).logits.isfinite().all()


@each_model
def test_both_modalities_reach_the_logits(model):
    task, clips = build(model, narrow=True), toy_clips(4)
    logits = task(clips).logits
    assert not torch.allclose(
        logits, task(clips.with_stream("frames", 1 - clips.streams["frames"])).logits
    )
    assert not torch.allclose(
        logits, task(clips.with_stream("mfcc", -clips.streams["mfcc"])).logits
    )
