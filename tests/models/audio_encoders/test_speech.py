"""Claims about speech networks that learn along, on tiny ones with random weights."""

import pytest
import torch
from conftest import build, toy_clips
from speech_checkpoints import draw_sounds, write_checkpoint
from torch import nn

from avfusion.features.encoders.run import RunAudioModule
from avfusion.models.audio_encoders.speech import Speech
from avfusion.models.layers.lora import merge_lora
from avfusion.models.speech import load_network, read_architecture

pytestmark = pytest.mark.encoders
pytest.importorskip("transformers", reason="transformers comes with --group encoder-tests")
KINDS = ["wavlm", "wavlm_large", "whisper"]
each_network = pytest.mark.parametrize("kind", KINDS)
SAMPLES = (4_000, 1_500, 9_000)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("speech")
    return {kind: str(write_checkpoint(root / kind, kind)) for kind in KINDS}


def learned(module: nn.Module) -> set[str]:
    return {name for name, part in module.named_parameters() if part.requires_grad}


@each_network
def test_at_first_its_tokens_are_the_mean_of_the_normalized_blocks(folders, kind):
    encoder, (sound, length) = Speech(folders[kind]).eval(), draw_sounds(*SAMPLES)
    network = load_network(folders[kind], None, read_architecture(folders[kind]))
    with torch.no_grad():
        tokens, _ = encoder(sound, length)
        states = network(network.normalize(sound, length), length)
    normalized = [nn.functional.layer_norm(one, (network.dim,)) for one in states.blocks]
    most = int(states.frames.max())
    expected = torch.stack(normalized).mean(dim=0)[:, :most]
    torch.testing.assert_close(tokens, expected, rtol=0, atol=1e-5)
    assert encoder.count_tokens(length).tolist() == states.frames.tolist()


@each_network
@pytest.mark.parametrize("layers", ["all", "last"])
def test_a_sound_in_a_batch_equals_the_same_sound_alone(folders, kind, layers):
    encoder = Speech(folders[kind], layers=layers, projection=5, lora_rank=2).eval()
    sound, length = draw_sounds(*SAMPLES)
    with torch.no_grad():
        _, vectors = encoder(sound, length)
        for place, samples in enumerate(SAMPLES):
            alone = encoder(sound[place : place + 1, :samples], length[place : place + 1])[1]
            torch.testing.assert_close(vectors[place : place + 1], alone, rtol=0, atol=1e-4)


@each_network
def test_lora_changes_nothing_at_first_and_merges_exactly(folders, kind):
    sound, length = draw_sounds(*SAMPLES)
    plain, updated = (Speech(folders[kind], lora_rank=rank).eval() for rank in (0, 2))
    with torch.no_grad():
        expected = plain(sound, length)
        for ours, theirs in zip(updated(sound, length), expected, strict=True):
            assert torch.equal(ours, theirs)
        for name, part in updated.network.named_parameters():
            if part.requires_grad:
                assert name.endswith((".left", ".right"))
                nn.init.normal_(part, std=0.1)
        before = updated(sound, length)
        assert (before[1] - expected[1]).abs().max() > 1e-3
        merge_lora(updated.network)
        for ours, theirs in zip(updated(sound, length), before, strict=True):
            assert torch.equal(ours, theirs)


@each_network
def test_the_first_blocks_stay_frozen_and_in_evaluation_mode_while_the_others_learn(folders, kind):
    encoder = Speech(folders[kind], freeze=2).train()
    blocks = list(encoder.network.blocks)
    last = {id(part) for part in blocks[2].parameters()}
    learns = {id(part) for part in encoder.network.parameters() if part.requires_grad}
    assert learns == last
    assert [block.training for block in blocks] == [False, False, True]
    assert not encoder.eval().network.blocks[2].training


def test_without_freezing_every_parameter_learns(folders):
    encoder, (sound, length) = Speech(folders["wavlm"], freeze="none"), draw_sounds(*SAMPLES)
    encoder(sound, length)[1].square().sum().backward()
    assert all(part.grad is not None for part in encoder.parameters())


def test_a_state_holds_what_is_learned_and_a_reference_to_the_rest(folders):
    folder = folders["wavlm"]
    encoder = Speech(folder, lora_rank=2, projection=4)
    assert set(encoder.state_dict()) == learned(encoder)
    for part in encoder.parameters():
        if part.requires_grad:
            nn.init.normal_(part, std=0.1)

    reference = encoder.reference()
    restored = Speech(**reference, lora_rank=2, projection=4)
    restored.load_state_dict(encoder.state_dict())
    given = draw_sounds(*SAMPLES)
    with torch.no_grad():
        for ours, theirs in zip(restored.eval()(*given), encoder.eval()(*given), strict=True):
            assert torch.equal(ours, theirs)
    with pytest.raises(RuntimeError, match="Missing key"):
        restored.load_state_dict({})


def test_without_frozen_weights_a_state_and_an_architecture_are_enough(folders, tmp_path):
    encoder = Speech(folders["wavlm"], freeze="none").eval()
    reference = encoder.reference() | {"name": str(tmp_path / "nowhere")}
    assert reference["sha256"] is None
    restored = Speech(**reference, freeze="none").eval()
    restored.load_state_dict(encoder.state_dict())
    given = draw_sounds(*SAMPLES)
    with torch.no_grad():
        assert torch.equal(restored(*given)[1], encoder(*given)[1])


def test_other_frozen_weights_are_refused_and_missing_ones_are_named(folders, tmp_path):
    reference = Speech(folders["wavlm"]).reference()
    other = write_checkpoint(tmp_path / "other", "wavlm", initializer_range=0.5)
    with pytest.raises(ValueError, match=f"other have the SHA-256 .* {reference['sha256']}: say"):
        Speech(**reference | {"name": str(other)})
    with pytest.raises(FileNotFoundError, match=f"nowhere.*whose SHA-256 is {reference['sha256']}"):
        Speech(**reference | {"name": str(tmp_path / "nowhere")})


@pytest.mark.parametrize("model", ["audio_only", "lowrank", "crossattention"])
def test_a_network_trains_it_with_a_learning_rate_of_its_own(folders, model):
    given = {"name": folders["wavlm"], "lora_rank": 2}
    overrides = [f"model.network.audio_encoder.{key}={value}" for key, value in given.items()]
    scale = "optimizer.lr_scale={audio_encoder.network: 0.5}"
    task = build(model, "model/audio_encoder=wavlm", *overrides, scale)
    sound, length = draw_sounds(4_000, 1_500, 9_000, 2_000)
    clips = toy_clips(4)
    clips = clips._replace(
        streams=clips.streams | {"waveform": sound}, lengths=clips.lengths | {"waveform": length}
    )
    optimizer, _ = task.build_optimizer(10)
    before = {name: part.clone() for name, part in task.named_parameters()}
    scores = task(clips)
    task.loss(scores.logits, clips.label).backward()
    optimizer.step()
    changed = {
        name for name, part in task.named_parameters() if not torch.equal(part, before[name])
    }
    assert changed <= learned(task)
    updates = {name for name in learned(task) if name.endswith(".left")}
    assert updates and updates <= changed

    factor = 0.5 * task.lr_scale.get("audio_encoder", 1.0)
    rates = {
        id(part): group["initial_lr"]
        for group in optimizer.param_groups
        for part in group["params"]
    }
    base = optimizer.defaults["lr"]
    for name, part in task.named_parameters():
        if name in updates:
            assert rates[id(part)] == pytest.approx(base * factor)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"freeze": 4}, "freeze must be all, none or a number of blocks up to 3, got 4"),
        ({"freeze": "some"}, "freeze must be all, none or a number .*, got 'some'"),
        ({"freeze": "none", "lora_rank": 2}, "lora_rank=2 updates frozen blocks, and freeze=none"),
        ({"lora_rank": -1}, "lora_rank must be at least 0"),
        ({"layers": "first"}, "layers must be one of .*, got 'first'"),
        ({"projection": 0}, "projection must be null or at least 1, got 0"),
    ],
)
def test_options_that_cannot_be_are_refused(folders, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Speech(folders["wavlm"], **options)


@each_network
def test_as_a_stream_of_a_run_its_tokens_have_their_own_clock_and_true_lengths(folders, kind):
    encoder, (sound, length) = Speech(folders[kind]).eval(), draw_sounds(*SAMPLES)
    module = RunAudioModule(encoder, "tokens", rate=16_000.0, offset=0.0)  # those of the waveform
    assert module.rate == 50 and module.offset == encoder.network.offset
    with torch.no_grad():
        tokens, steps = module(sound, length)
        for place, samples in enumerate(SAMPLES):
            alone, _ = encoder(sound[place : place + 1, :samples], length[place : place + 1])
            assert steps[place] == alone.shape[1]
            torch.testing.assert_close(tokens[place, : steps[place]], alone[0], rtol=0, atol=1e-4)
