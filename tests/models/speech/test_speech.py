"""Speech networks: equal to those of transformers, whatever padding there is."""

import copy

import pytest
import torch
import torch.nn.functional as F
from speech_checkpoints import KINDS, draw_sounds, write_checkpoint

from avfusion.models.speech import (
    build_network,
    count_blocks,
    limit_blocks,
    load_network,
    read_architecture,
)

pytestmark = [
    pytest.mark.encoders,
    pytest.mark.filterwarnings("ignore:At least one mel filter"),  # of AST's own extractor
]
transformers = pytest.importorskip("transformers")

FRAMEWISE = [kind for kind in KINDS if kind not in ("ast", "clap")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("speech")
    return {kind: str(write_checkpoint(root / kind, kind)) for kind in KINDS}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def load(folder):
    return load_network(folder, None, read_architecture(folder))


def load_original(folder, kind):
    return getattr(transformers, KINDS[kind][0]).from_pretrained(folder).eval()


def extract(folder, wave, **options):
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    return extractor(
        wave.numpy(), sampling_rate=extractor.sampling_rate, return_tensors="pt", **options
    )


@torch.no_grad()
def encode(network, sound, length):
    return network(network.normalize(sound, length), length)


def assert_close(ours, theirs):
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in FRAMEWISE if kind != "whisper"])
def test_states_equal_a_direct_forward_of_the_library(folders, kind):
    sound, length = draw_sounds(20_000)
    original = load_original(folders[kind], kind)
    with torch.no_grad():
        theirs = original(**extract(folders[kind], sound[0]), output_hidden_states=True)
    ours = encode(load(folders[kind]), sound, length)
    assert_close(ours.last, theirs.last_hidden_state)
    for one, other in zip(ours.blocks, theirs.hidden_states, strict=True):
        assert_close(one, other)


def test_thirty_seconds_of_whisper_equal_a_direct_forward_of_the_library(folders):
    sound, length = draw_sounds(480_000)
    encoder = load_original(folders["whisper"], "whisper").encoder
    with torch.no_grad():
        theirs = encoder(**extract(folders["whisper"], sound[0]), output_hidden_states=True)
    ours = encode(load(folders["whisper"]), sound, length)
    assert_close(ours.last, theirs.last_hidden_state)
    for one, other in zip(ours.blocks[:-1], theirs.hidden_states[:-1], strict=True):
        assert_close(one, other)
    assert_close(encoder.layer_norm(ours.blocks[-1]), theirs.last_hidden_state)


@pytest.mark.parametrize("samples", [16_000, 20_700])
def test_a_short_sound_of_whisper_equals_an_encoder_of_the_library_made_for_its_length(
    folders, samples
):
    sound, length = draw_sounds(samples)
    encoder = load_original(folders["whisper"], "whisper").encoder
    mel = extract(folders["whisper"], sound[0], padding=False).input_features
    mel = F.pad(mel, (0, mel.shape[2] % 2))  # the library takes none but even numbers of steps
    if mel.shape[2] != samples // 160:
        mel = mel[:, :, :-2]
        sound, length = sound[:, : 160 * mel.shape[2]], torch.tensor([160 * mel.shape[2]])
        mel = extract(folders["whisper"], sound[0], padding=False).input_features
    frames = mel.shape[2] // 2
    encoder.config.max_source_positions = frames
    encoder.embed_positions = torch.nn.Embedding.from_pretrained(
        encoder.embed_positions.weight[:frames]
    )
    with torch.no_grad():
        theirs = encoder(mel).last_hidden_state
    assert_close(encode(load(folders["whisper"]), sound, length).last, theirs)


def test_whisper_with_full_windows_hears_the_silence_that_the_library_adds(folders):
    sound, length = draw_sounds(16_000, 9_000)
    architecture = read_architecture(folders["whisper"])
    architecture = {**architecture, "extractor": {"full_window": True}}
    ours = encode(load_network(folders["whisper"], None, architecture), sound, length)
    encoder = load_original(folders["whisper"], "whisper").encoder
    for place, samples in enumerate(length.tolist()):
        inputs = extract(folders["whisper"], sound[place, :samples])
        with torch.no_grad():
            theirs = encoder(**inputs).last_hidden_state
        assert_close(ours.last[place : place + 1], theirs)
    assert ours.frames.tolist() == [50, 28]


def test_frames_of_ast_are_means_of_patches_of_the_library_over_frequencies(folders):
    sound, length = draw_sounds(40_000)
    with torch.no_grad():
        theirs = load_original(folders["ast"], "ast")(**extract(folders["ast"], sound[0]))
    ours = encode(load(folders["ast"]), sound, length)
    patches = theirs.last_hidden_state[0, 2:].reshape(12, 101, -1)  # 128 mels and 1,024 steps
    assert_close(ours.last[0], patches.mean(0))
    assert_close(ours.pooled, theirs.pooler_output)
    assert ours.frames.tolist() == [1 + (40_000 - 15 * 160 - 400) // 1600]


@pytest.mark.parametrize("fused", [False, True])
def test_frames_of_clap_are_means_of_the_map_of_the_library_over_frequencies(
    folders, tmp_path, fused
):
    from scipy.signal import resample_poly

    folder = folders["clap"]
    if fused:
        folder = str(write_checkpoint(tmp_path / "fused", "clap", enable_fusion=True))
        transformers.ClapFeatureExtractor().save_pretrained(folder)
    sound, length = draw_sounds(50_001)
    inputs = extract(folder, torch.from_numpy(resample_poly(sound[0].double().numpy(), 3, 1)))
    features = inputs.input_features.float()
    with torch.no_grad():
        original = load_original(folder, "clap")
        theirs = original(features, is_longer=torch.tensor([[False]]))
    ours = encode(load(folder), sound, length)
    assert_close(ours.last[0], theirs.last_hidden_state[0].mean(1).T)
    assert_close(ours.pooled, theirs.pooler_output)
    assert ours.frames.tolist() == [11] and ours.last.shape[1] == 32  # 5,000 samples each


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_true_frame(folders, kind):
    lengths = (1_000, 15_000, 15_321, 31_000)
    sound, length = draw_sounds(*lengths)
    network = load(folders[kind])
    together = encode(network, sound, length)
    louder = sound + 5 * (torch.arange(sound.shape[1]) >= length[:, None])
    noise = network(network.normalize(louder, length), length) if kind == "wav2vec2" else None
    for place, samples in enumerate(lengths):
        alone = encode(network, sound[place : place + 1, :samples], length[place : place + 1])
        frames = network.count_frames(samples)
        assert alone.frames.tolist() == [frames] == [together.frames[place]]
        for one, other in zip(
            [alone.last, *alone.blocks], [together.last, *together.blocks], strict=True
        ):
            assert_close(other[place, :frames], one[0, :frames])
        if noise is not None:
            assert_close(noise.last[place, :frames], alone.last[0, :frames])
        if alone.pooled is not None:
            assert_close(together.pooled[place], alone.pooled[0])


def test_the_library_itself_lets_padding_reach_sounds_of_group_norm(folders):
    sound, length = draw_sounds(15_000, 31_000)
    original = load_original(folders["wav2vec2"], "wav2vec2")
    mask = (torch.arange(31_000) < length[:, None]).long()
    with torch.no_grad():
        padded = original(sound, attention_mask=mask).last_hidden_state
        alone = original(sound[:1, :15_000]).last_hidden_state
    assert (padded[0, : alone.shape[1]] - alone[0]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_spans_and_counts_of_frames_agree(folders, kind):
    network = build_network(read_architecture(folders[kind]))
    for frames in (1, 2, 7):
        assert network.count_frames(network.span(frames)) == frames
        assert network.count_frames(network.span(frames + 1) - 1) == frames + (
            kind in ("clap", "whisper")  # whose last frame may be cut short
        )
    assert network.count_frames(1) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_architecture_alone_builds_a_network_that_takes_the_weights(folders, kind):
    architecture = read_architecture(folders[kind])
    network = load(folders[kind])
    rng = torch.get_rng_state()
    built = build_network(copy.deepcopy(architecture))
    assert torch.equal(torch.get_rng_state(), rng)
    built.load_state_dict(network.state_dict())
    sound, length = draw_sounds(8_000)
    assert torch.equal(
        encode(built.eval(), sound, length).last, encode(network, sound, length).last
    )


def test_the_first_blocks_of_a_network_give_what_they_gave_in_it(folders):
    architecture = read_architecture(folders["hubert"])
    assert count_blocks(architecture) == 3
    network = load_network(folders["hubert"], None, limit_blocks(architecture, 2))
    sound, length = draw_sounds(8_000)
    states = encode(network, sound, length)
    assert len(states.blocks) == 3
    assert_close(states.blocks[2], encode(load(folders["hubert"]), sound, length).blocks[2])


def test_weights_of_a_larger_network_with_a_head_are_found(tmp_path, folders):
    whole = transformers.WhisperForConditionalGeneration(
        transformers.WhisperConfig.from_pretrained(folders["whisper"])
    )
    encoder = transformers.WhisperModel.from_pretrained(folders["whisper"]).encoder
    whole.model.encoder.load_state_dict(encoder.state_dict())
    whole.save_pretrained(tmp_path)
    transformers.WhisperFeatureExtractor().save_pretrained(tmp_path)
    sound, length = draw_sounds(8_000)
    ours = encode(load(str(tmp_path)), sound, length)
    assert torch.equal(ours.last, encode(load(folders["whisper"]), sound, length).last)


def test_what_is_no_speech_network_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No network at \./none: give the folder of one"):
        read_architecture("./none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty is no folder of a speech network"):
        read_architecture(str(tmp_path / "empty"))
    transformers.BertConfig().save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match=r"of the type bert, which is not supported: choose one"):
        read_architecture(str(tmp_path / "bert"))
    adapted = write_checkpoint(tmp_path / "adapted", "wav2vec2", add_adapter=True)
    with pytest.raises(ValueError, match=r"with add_adapter or conv_pos_batch_norm"):
        load(str(adapted))
    slow = write_checkpoint(tmp_path / "slow", "hubert")
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000).save_pretrained(slow)
    with pytest.raises(ValueError, match=r"hears sounds of 8000 Hz, and those of a store have"):
        read_architecture(str(slow))


def test_weights_that_are_missing_are_named(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = write_checkpoint(tmp_path / "half", "hubert")
    weights = load_file(folder / "model.safetensors")
    weights.pop("encoder.layers.1.layer_norm.weight")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"lack encoder\.layers\.1\.layer_norm\.weight: they are"):
        load(str(folder))


def test_a_folder_without_a_feature_extractor_is_heard_as_by_default_and_said_so(tmp_path, caplog):
    folder = write_checkpoint(tmp_path / "bare", "wavlm")
    (folder / "preprocessor_config.json").unlink()
    assert read_architecture(str(folder))["extractor"] == {"do_normalize": True}
    assert "has no preprocessor_config.json" in caplog.text


@pytest.mark.parametrize("kind", ["wav2vec2", "data2vec", "whisper"])
def test_gradients_of_a_padded_batch_are_those_of_its_sounds_alone(folders, kind):
    sound, length = draw_sounds(5_000, 8_000)
    network = load(folders[kind])

    def differentiate(sound, length):
        network.zero_grad()
        states = network(network.normalize(sound, length), length)
        mask = torch.arange(states.last.shape[1]) < states.frames[:, None]
        states.last[mask].square().sum().backward()
        grads = {n: p.grad.clone() for n, p in network.named_parameters() if p.grad is not None}
        return grads

    together = differentiate(sound, length)
    alone = [
        differentiate(sound[place : place + 1, :n], length[place : place + 1])
        for place, n in enumerate(length.tolist())
    ]
    largest = max(float(value.abs().max()) for value in together.values())
    for name, value in together.items():
        expected = sum(one[name] for one in alone)
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-5 * largest)
