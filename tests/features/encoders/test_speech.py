"""Streams of speech networks."""

import pickle

import pytest
import torch
from speech_checkpoints import KINDS, draw_sounds, write_checkpoint

from avfusion.checkpoint import check_targets
from avfusion.features.encoders import Speech
from avfusion.features.encoders.speech import average_steps, plan_windows, pool
from avfusion.features.streams import StreamEncoder, check_encoder, digest_weights

pytestmark = [
    pytest.mark.encoders,
    pytest.mark.filterwarnings("ignore:At least one mel filter"),  # of AST's own extractor
]
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("speech")
    return {kind: str(write_checkpoint(root / kind, kind)) for kind in KINDS}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@torch.no_grad()
def encode(encoder, sound, length):
    return encoder(sound, length)


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def direct(folder, wave):
    """Hidden states of the library's WavLM, and its output."""
    original = transformers.WavLMModel.from_pretrained(folder).eval()
    with torch.no_grad():
        output = original(wave[None], output_hidden_states=True)
    return [state[0] for state in output.hidden_states], output.last_hidden_state[0]


def test_layers_are_those_of_the_library(folders):
    sound, length = draw_sounds(9_000)
    hidden, last = direct(folders["wavlm"], sound[0])
    expected = {
        "last": last,
        0: hidden[0],
        2: hidden[2],
        3: hidden[3],
        (0, 2): (hidden[0] + hidden[2]) / 2,
        "last4": torch.stack(hidden[-4:]).mean(0),
        "all": torch.stack(hidden),
    }
    for layers, values in expected.items():
        encoder = Speech("wavlm", folders["wavlm"], layers=layers).build()
        given = encode(encoder, sound, length)
        assert_close(given.values[0], values)
        assert encoder.kind == "sequence" and encoder.layers == (4 if layers == "all" else 0)
        assert given.lengths.tolist() == [len(last)]


def test_poolings_are_moments_of_true_frames(folders):
    sound, length = draw_sounds(9_000, 12_000)
    hidden, _ = direct(folders["wavlm"], sound[0, :9_000])
    frames = torch.stack(hidden)
    for layers, values in ((2, frames[2]), ("all", frames)):
        mean = Speech("w", folders["wavlm"], layers=layers, pooling="mean").build()
        both = Speech("w", folders["wavlm"], layers=layers, pooling="mean_std").build()
        assert mean.kind == "vector" and mean.rate is None and mean.layers == both.layers
        given = encode(mean, sound, length)
        assert given.lengths is None
        assert_close(given.values[0], values.mean(-2))
        moments = torch.cat([values.mean(-2), values.std(-2, unbiased=False)], dim=-1)
        assert_close(encode(both, sound, length).values[0], moments)


def test_a_stride_averages_frames_and_the_last_step_has_what_is_left():
    frames = torch.arange(14.0).reshape(2, 7, 1)
    steps, lengths = average_steps(frames, torch.tensor([7, 4]), 3)
    assert lengths.tolist() == [3, 2]
    assert steps[0, :, 0].tolist() == [1, 4, 6]
    assert steps[1, :2, 0].tolist() == [8, 10]
    layered, _ = average_steps(frames[:, None].expand(2, 5, 7, 1), torch.tensor([7, 4]), 3)
    assert torch.equal(layered[:, 3], steps)
    assert_close(pool(frames, torch.tensor([7, 4]), True)[1], torch.tensor([8.5, 1.25**0.5]))


def test_the_clock_of_a_stream_gives_the_middle_of_what_a_step_sees(folders):
    # A frame of three convolutions sees 325 samples, and the next one begins 320 later.
    encoder = Speech("wavlm", folders["wavlm"]).build()
    assert encoder.rate == 50 and encoder.offset == 325 / 2 / 16_000
    strided = Speech("wavlm", folders["wavlm"], stride=4).build()
    assert strided.rate == 12.5 and strided.offset == pytest.approx(encoder.offset + 1.5 / 50)
    assert Speech("whisper", folders["whisper"]).build().rate == 50
    assert Speech("ast", folders["ast"]).build().rate == pytest.approx(10)
    assert Speech("clap", folders["clap"]).build().rate == pytest.approx(3.2)


def test_windows_cover_each_frame_once_with_their_context():
    for count in (1, 9, 10, 11, 17, 18, 100):
        for context in (0, 2, 4):
            windows = list(plan_windows(3, count, 10, context))
            kept = [frame for w in windows for frame in range(w.keep_first, w.keep_last)]
            assert kept == list(range(count))
            assert {w.last - w.first for w in windows} == {min(count, 10)}
            for window in windows:
                assert window.clip == 3
                assert window.first == 0 or window.keep_first - window.first >= context
                assert window.last == count or window.last - window.keep_last >= context


def test_a_long_sound_is_that_of_its_windows(folders):
    sound, length = draw_sounds(48_000)
    options = {"name": folders["wavlm"], "window": 1.0, "context": 0.2}
    given = encode(Speech("wavlm", **options).build(), sound, length).values[0]
    whole = encode(Speech("wavlm", folders["wavlm"]).build(), sound, length).values[0]
    assert given.shape == whole.shape
    # A window has 49 frames, 10 of them context on each side where it is cut: the second one
    # begins with frame 29 and is kept from frame 39 on.
    encoder = Speech("wavlm", folders["wavlm"]).build()
    samples = 48 * 320 + 325
    for begin, kept in ((0, slice(0, 39)), (29, slice(39, 68))):
        part = sound[:, begin * 320 : begin * 320 + samples]
        frames = encode(encoder, part, torch.tensor([samples])).values[0]
        assert len(frames) == 49
        assert_close(given[kept], frames[kept.start - begin : kept.stop - begin])


@pytest.mark.parametrize("kind", ["wavlm_large", "whisper", "ast", "clap"])
@pytest.mark.parametrize("layers", ["last", "all"])
def test_long_and_short_sounds_in_a_batch_are_what_they_are_alone(folders, kind, layers):
    if kind == "clap" and layers == "all":
        return
    sound, length = draw_sounds(16_000 * 13, 9_000, 16_000 * 11 + 77)
    recipe = Speech("s", folders[kind], layers=layers, window=9.0, context=1.0)
    encoder = recipe.build()
    together = encode(encoder, sound, length)
    for place, samples in enumerate(length.tolist()):
        alone = encode(encoder, sound[place : place + 1, :samples], length[place : place + 1])
        frames = int(together.lengths[place])
        assert alone.lengths.tolist() == [frames] == [encoder.network.count_frames(samples)]
        assert_close(together.values[place, ..., :frames, :], alone.values[0])


def test_ast_and_clap_make_vectors_themselves(folders):
    sound, length = draw_sounds(9_000, 16_000 * 12)
    for kind, dim in (("ast", 32), ("clap", 64)):
        encoder = Speech("s", folders[kind], pooling="model", context=1.0).build()
        given = encode(encoder, sound, length)
        assert encoder.kind == "vector" and given.values.shape == (2, dim)
        alone = encode(encoder, sound[:1, :9_000], length[:1])
        assert_close(given.values[0], alone.values[0])
        assert_close(alone.values, encoder.network(sound[:1, :9_000], length[:1]).pooled)
    with pytest.raises(ValueError, match=r"pooling=model is for AST and CLAP"):
        Speech("s", folders["hubert"], pooling="model").build()(sound, length)


def test_a_recipe_and_weights_make_the_same_encoder_without_a_file(folders, tmp_path):
    sound, length = draw_sounds(9_000)
    for kind, layers in (("wavlm", 2), ("whisper", "all"), ("clap", "last"), ("ast", "last4")):
        folder = write_checkpoint(tmp_path / kind, kind)
        recipe = Speech("s", str(folder), layers=layers)
        encoder = recipe.build()
        plain = recipe.recipe()
        folder.rename(tmp_path / f"{kind} moved")
        check_targets(tmp_path, plain)
        assert plain.pop("_target_") == "avfusion.features.encoders.speech.Speech"
        again = Speech(**pickle.loads(pickle.dumps(plain)))
        assert again.recipe() == {"_target_": Speech.__module__ + ".Speech", **plain}
        rebuilt = again.build(encoder.state_dict())
        assert torch.equal(
            encode(rebuilt, sound, length).values, encode(encoder, sound, length).values
        )
        assert digest_weights(rebuilt.state_dict()) == digest_weights(encoder.state_dict())
        assert not rebuilt.training and not any(p.requires_grad for p in rebuilt.parameters())


def test_a_recipe_keeps_the_contract_and_opens_no_file():
    recipe = Speech("wavlm", "nowhere/nothing")
    assert isinstance(recipe, StreamEncoder)
    check_encoder(recipe, "features.audio_stream")
    assert (recipe.modality, recipe.reads, recipe.sha256) == ("audio", "waveform", None)
    assert pickle.loads(pickle.dumps(recipe)) == recipe


def test_blocks_behind_the_layer_are_not_kept(folders):
    short = Speech("hubert", folders["hubert"], layers=1).build()
    assert len(short.network.blocks) == 1
    assert len(Speech("hubert", folders["hubert"], layers=[0, 2]).build().network.blocks) == 2
    assert (
        Speech("hubert", folders["hubert"], layers=1).recipe()
        != Speech("hubert", folders["hubert"], layers=2).recipe()
    )


def test_where_weights_come_from_is_a_folder_or_an_id(folders):
    recipe = Speech("wavlm", folders["wavlm"])
    assert recipe.weights == folders["wavlm"]
    assert recipe.source() == {"name": folders["wavlm"], "revision": None}
    with pytest.raises(FileNotFoundError, match=r"microsoft/none is neither in the cache of the"):
        Speech("wavlm", "microsoft/none").build()
    with pytest.raises(FileNotFoundError, match=r"weights of wavlm are nowhere: set"):
        Speech("wavlm").build()


def test_settings_that_cannot_be_are_refused_in_a_sentence(folders):
    with pytest.raises(ValueError, match=r"layers of .* must be a number, a list of .*: first"):
        Speech("s", layers="first")
    with pytest.raises(ValueError, match=r"layers of .* must be a number, a list of .*: \[\]"):
        Speech("s", layers=[])
    with pytest.raises(ValueError, match=r"pooling of .* must be one of .*, got 'max'"):
        Speech("s", pooling="max")
    with pytest.raises(ValueError, match=r"pooling=model of .* needs layers=last, got 2"):
        Speech("s", pooling="model", layers=2)
    with pytest.raises(ValueError, match=r"stride of .* must be at least 1, and 1 where frames"):
        Speech("s", pooling="mean", stride=2)
    with pytest.raises(ValueError, match=r"context of .* less than half of window=3.*got 2"):
        Speech("s", window=3.0, context=2.0)
    with pytest.raises(ValueError, match=r"has 3 blocks: set features.audio_stream.layers to at"):
        Speech("s", folders["hubert"], layers=4).recipe()
    with pytest.raises(ValueError, match=r"stages of CLAP are of several widths: set"):
        Speech("s", folders["clap"], layers=2).recipe()
    with pytest.raises(ValueError, match=r"full_window is for Whisper, and s is a network of"):
        Speech("s", folders["hubert"], full_window=True).recipe()
    with pytest.raises(ValueError, match=r"hears at most 30 s at once: set features.audio_stream"):
        Speech("s", folders["whisper"], window=40.0).build()
    with pytest.raises(ValueError, match=r"A window of 10 s leaves nothing between two contexts"):
        Speech("s", folders["clap"], context=5.0).build()
