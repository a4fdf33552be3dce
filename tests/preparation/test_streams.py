"""Claims about streams that encoders compute from a store."""

import errno
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import split_by, write_recordings
from tiny_encoders import TinyFace, TinyVoice, TinyVoiceModule

from avfusion.corpora import Contents, Manifest
from avfusion.data.computed import ComputedStream
from avfusion.data.dataset import SplitDataset
from avfusion.data.store import Store
from avfusion.features.streams import Encoded, check_encoder, digest_weights
from avfusion.preparation import streams as computing
from avfusion.preparation import workers as work
from avfusion.preparation.description import describe_splits, verify_checksums
from avfusion.preparation.prepare import fit_features, prepare
from avfusion.preparation.streams import add_stream, choose_device
from avfusion.preparation.summary import tabulate_streams
from avfusion.targets import choose_target

CPU = torch.device("cpu")
VOICE = TinyVoice()


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def place(recordings_store, tmp_path):
    """A copy of the store of 24 recordings of 0.8 to 1.5 seconds."""
    return shutil.copytree(recordings_store, tmp_path / "store")


@pytest.fixture
def silent_place(tmp_path, in_process, long_features):
    """A store of four clips, of which one has no sound and one no picture."""
    folder = write_recordings(tmp_path / "few", subjects=1)
    manifest = folder / "manifest.csv"
    text = manifest.read_text().replace("s0_1.wav", "").replace("s0_2.png", "")
    manifest.write_text(text)
    masking = replace(long_features, policies=replace(long_features.policies, missing="mask"))
    return prepare(Manifest(str(folder)), masking, tmp_path / "stores")


def encode_alone(store, encoder, row):
    """What the encoder gives of one clip, without padding."""
    values = store.clip(encoder.reads, row)[None].float()
    is_sound = encoder.modality == "audio"
    lengths = torch.tensor([values.shape[1]]) if is_sound else None
    return encoder.build()(values / (2**15 if is_sound else 255), lengths).values[0]


ENCODERS = {
    "sequence": VOICE,
    "layers": TinyVoice(layers=3),
    "vector": TinyVoice(kind="vector"),
    "vectors of layers": TinyVoice(kind="vector", layers=3),
    "maps": TinyFace(kind="maps"),
    "vectors of pictures": TinyFace(),
}


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_a_stream_is_what_the_encoder_gives_of_each_clip_to_the_rounding_of_16_bits(place, encoder):
    add_stream(place, encoder, CPU)
    store = Store(place)
    for row in range(len(store)):
        alone = encode_alone(store, encoder, row)
        stored = store.clip("tiny", row)
        assert stored.dtype == torch.float16 and stored.shape == alone.shape
        assert torch.equal(stored, alone.half())

    rows = np.array([2, 9, 11, 20])
    for padded, row in zip(store.read("tiny", rows), rows.tolist(), strict=True):
        alone = store.clip("tiny", row)
        if encoder.kind == "sequence":
            steps = alone.shape[-2]
            assert not padded[..., steps:, :].any()
            padded = padded[..., :steps, :]
        assert torch.equal(padded, alone)


def test_the_steps_of_a_sequence_are_kept_true_and_take_no_more_room(place):
    add_stream(place, VOICE, CPU)
    store = Store(place)
    samples = store.column("samples").astype(int)
    steps = 1 + (samples - 400) // 320
    assert len({*steps}) > 2 and store.lengths("tiny").tolist() == steps.tolist()
    stream = store.streams["tiny"]
    assert stream.shape == (steps.max(), 4) and (stream.rate, stream.offset) == (50, 0.0125)
    assert np.load(place / "tiny" / "00000.npy").shape == (steps.sum(), 4)


def test_a_dataset_reads_computed_streams_by_name_beside_decoded_ones(place):
    for encoder in (
        replace(TinyVoice(layers=2), stream="deep"),
        replace(TinyFace(), stream="seen"),
    ):
        add_stream(place, encoder, CPU)
    store = Store(place)
    target = choose_target(store.description)
    rows = np.arange(len(store))
    dataset = SplitDataset(store, rows, target, ("frames", "mfcc", "deep", "seen"))
    clips = dataset.__getitems__([3, 0, 7])
    longest = int(store.lengths("deep")[[0, 3, 7]].max())
    assert clips.streams["deep"].shape == (3, 2, longest, 4)
    assert clips.streams["seen"].shape == (3, 1, 4)
    assert clips.lengths["seen"].tolist() == [1, 1, 1]
    assert clips.lengths["deep"].tolist() == store.lengths("deep")[[0, 3, 7]].tolist()
    assert clips.with_floats().streams["deep"].dtype == torch.float32


def test_clips_that_lack_the_modality_have_zeros_and_one_step(silent_place):
    for encoder in (VOICE, replace(TinyFace(kind="maps"), stream="seen")):
        add_stream(silent_place, encoder, CPU)
    store = Store(silent_place)
    assert store.has_audio.tolist() == [True, False, True, True]
    heard = [bool(store.clip("tiny", row).any()) for row in range(4)]
    seen = [bool(store.clip("seen", row).any()) for row in range(4)]
    assert (heard, seen) == (store.has_audio.tolist(), store.has_face.tolist())
    assert store.lengths("tiny")[1] == 1 and store.clip("tiny", 1).shape == (1, 4)


def test_a_second_stream_changes_no_file_and_decodes_nothing(
    recordings, tmp_path, in_process, long_features, monkeypatch
):
    corpus, stores = Manifest(str(recordings)), tmp_path / "stores"
    root = prepare(corpus, long_features, stores)
    first = prepare(corpus, replace(long_features, audio_stream=VOICE), stores)
    before = files(root)
    monkeypatch.setattr(work, "decode_chunk", lambda *_: pytest.fail("decoded again"))
    both = replace(
        long_features,
        audio_stream=VOICE,
        more_streams={"b": replace(VOICE, stream="other", dim=2), "c": TinyFace("seen")},
    )
    assert first == root == prepare(corpus, both, stores)
    after = files(root)
    assert {name: after[name] for name in before} == before
    assert {name.partition("/")[0] for name in after.keys() - before.keys()} == {"other", "seen"}
    assert [path.name for path in stores.iterdir() if path.is_dir()] == [root.name]
    verify_checksums(root)
    changed = root / "other" / "00000.npy"
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    with pytest.raises(ValueError, match=r"1 files of .* are not as they were .*other/00000"):
        verify_checksums(root)


def test_a_stream_that_is_there_is_not_computed_again(place, monkeypatch):
    add_stream(place, VOICE, CPU)
    monkeypatch.setattr(computing, "compute_chunk", lambda *_: pytest.fail("computed again"))
    add_stream(place, VOICE, CPU)
    monkeypatch.setattr(TinyVoice, "build", lambda *_: pytest.fail("built"))
    add_stream(place, VOICE, CPU, verify=False)


@pytest.mark.parametrize("killed_at", [1, 3, 4, 9, 14])
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(place, tmp_path, monkeypatch, killed_at):
    """A kill is one before a file comes to its place: what was begun then is there, and no more."""
    monkeypatch.setattr(computing, "CHUNK_SECONDS", 6.0)
    whole = shutil.copytree(place, tmp_path / "whole")
    add_stream(whole, VOICE, CPU)

    replaced, computed = [], []
    real_replace, real_compute = os.replace, computing.compute_chunk

    def killed(source, target):
        replaced.append(target)
        if len(replaced) == killed_at:
            raise KeyboardInterrupt
        real_replace(source, target)

    def count(plan, chunk):
        computed.append(chunk.number)
        real_compute(plan, chunk)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        add_stream(place, VOICE, CPU)
    assert not (place / "tiny").exists()
    monkeypatch.setattr(computing, "compute_chunk", count)
    add_stream(place, VOICE, CPU)
    assert files(place) == files(whole)
    parts = len(list((place / "tiny").glob("0*.npy")))
    written = (killed_at - 1) // 3  # after the encoder, each part: values, journal, taken in
    assert parts == 6 and computed == list(range(written, parts))
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["store", "whole"]


def test_what_another_encoder_had_begun_is_not_gone_on_with(place, monkeypatch, caplog):
    monkeypatch.setattr(computing, "CHUNK_SECONDS", 6.0)
    monkeypatch.setattr(computing, "finish_stream", lambda *_: None)
    add_stream(place, TinyVoice(dim=2), CPU)
    monkeypatch.undo()
    monkeypatch.setattr(computing, "CHUNK_SECONDS", 6.0)
    add_stream(place, VOICE, CPU)
    assert "was begun with another encoder" in caplog.text
    assert torch.equal(Store(place).clip("tiny", 0), encode_alone(Store(place), VOICE, 0).half())


def delete_unless_in_use(path, dir_fd=None, delete=os.unlink):
    """Delete as on NFS, where what a process has open stays until it is closed."""
    if os.path.splitext(path)[1] in (".npz", ".json"):
        raise OSError(errno.EBUSY, "Device or resource busy", path)
    delete(path, dir_fd=dir_fd)


def test_a_part_without_its_values_or_of_nobody_known_is_computed_again(
    place, tmp_path, monkeypatch
):
    """As journals in use stay where they are, or kills leave them: of it, or of another stream."""
    monkeypatch.setattr(computing, "CHUNK_SECONDS", 6.0)
    whole = shutil.copytree(place, tmp_path / "whole")
    add_stream(whole, VOICE, CPU)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", delete_unless_in_use)
        add_stream(place, VOICE, CPU)
    assert files(place) == files(whole)  # though journals are left
    assert len(list((tmp_path / "store.tiny.parts").glob("*.npz"))) == 6
    shutil.rmtree(place / "tiny")  # to compute it once more
    add_stream(place, VOICE, CPU)
    assert files(place) == files(whole)

    shutil.rmtree(place / "tiny")
    others = {name: value + 1 for name, value in VOICE.build().state_dict().items()}
    torch.save(others, tmp_path / "others.pth")
    with monkeypatch.context() as patch:
        patch.setattr(computing, "finish_stream", lambda *_: None)
        add_stream(place, TinyVoice(file=str(tmp_path / "others.pth")), CPU)
    (tmp_path / "store.tiny.parts" / "encoder.json").unlink()
    add_stream(place, VOICE, CPU)
    assert files(place) == files(whole)


def test_batches_of_like_lengths_waste_less_than_a_tenth_and_give_the_same(place, monkeypatch):
    """As on a GPU, here on the CPU, where a clip is computed alone otherwise."""
    store, rows = Store(place), np.arange(24)
    lengths = store.lengths("waveform")
    like_lengths = (store.streams["waveform"], lengths, torch.device("meta"), rows)
    batches = list(computing.group_rows(*like_lengths))
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist() and len(batches) < 10
    for batch in batches:
        assert lengths[batch].sum() >= 0.9 * len(batch) * lengths[batch].max()
        encoded = computing.encode_clips(store, "waveform", VOICE.build(), CPU, "32", batch)
        for values, steps, row in zip(*encoded, batch.tolist(), strict=True):
            alone = encode_alone(store, VOICE, row)
            torch.testing.assert_close(values[:steps], alone, rtol=1e-5, atol=1e-6)

    monkeypatch.setattr(computing, "BATCH_SECONDS", 3.0)
    shorter = list(computing.group_rows(*like_lengths))
    assert max(lengths[batch].max() * len(batch) for batch in shorter) <= 48_000


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_the_description_has_mean_and_deviation_of_the_training_clips(place, encoder):
    add_stream(place, encoder, CPU)
    store = Store(place)
    splits = split_by(store)
    told = describe_splits(store, splits, ["tiny"])["streams"]["tiny"]
    layers, tables = getattr(encoder, "layers", 0) or 1, []
    for row in splits.rows("train").tolist():
        values = store.clip("tiny", row).double().numpy()
        if encoder.kind == "maps":
            values = np.moveaxis(values, 1, -1)
        values = values.reshape(layers, -1, 4)
        tables.append(values)
    table = np.concatenate(tables, axis=1)
    shape = (layers, 4) if getattr(encoder, "layers", 0) else (4,)
    np.testing.assert_allclose(told["mean"], table.mean(1).reshape(shape), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(told["std"], table.std(1).reshape(shape), rtol=1e-9)


def test_streams_that_nobody_reads_change_no_description(place):
    store = Store(place)
    before = describe_splits(store, split_by(store))
    add_stream(place, VOICE, CPU)
    store = Store(place)
    assert describe_splits(store, split_by(store)) == before
    assert "tiny" in describe_splits(store, split_by(store), ["tiny"])["streams"]


def test_a_stream_says_who_made_it(place, tmp_path):
    file = tmp_path / "weights.pth"
    torch.save(TinyVoice().build().state_dict(), file)
    add_stream(place, TinyVoice(file=str(file)), CPU)
    store = Store(place)
    stream = store.streams["tiny"]
    assert stream.encoder == {
        "_target_": "tiny_encoders.TinyVoice",
        "dim": 4,
        "kind": "sequence",
        "layers": 0,
    }
    assert (stream.reads, stream.source, stream.weights) == (
        "waveform",
        {"file": str(file)},
        str(file),
    )
    assert stream.sha256 == digest_weights(TinyVoice().build().state_dict())
    kept = store.encoder("tiny")
    assert all(torch.equal(value, kept[key]) for key, value in VOICE.build().state_dict().items())


def test_large_weights_do_not_travel(place, monkeypatch):
    monkeypatch.setattr(computing, "MAX_CARRIED_BYTES", 100)
    add_stream(place, VOICE, CPU)
    assert not Store(place).has_weights("tiny")


def test_another_stream_of_the_same_name_is_refused(place, tmp_path):
    add_stream(place, VOICE, CPU)
    with pytest.raises(ValueError, match=r"was computed by .*'dim': 4.*give the new one another"):
        add_stream(place, TinyVoice(dim=2), CPU)
    file = tmp_path / "weights.pth"
    torch.save(VOICE.build().state_dict(), file)
    add_stream(place, TinyVoice(file=str(file)), CPU)  # the same weights, from elsewhere
    torch.save({name: value + 1 for name, value in VOICE.build().state_dict().items()}, file)
    with pytest.raises(ValueError, match=r"with the weights of drawn \(sha256 .*not with those of"):
        add_stream(place, TinyVoice(file=str(file)), CPU)


def test_what_a_store_lacks_is_named_with_the_cure(place, monkeypatch):
    shutil.rmtree(place / "waveform")
    with pytest.raises(ValueError, match=r"tiny is computed from waveform, which the store .* not"):
        add_stream(place, VOICE, CPU)
    with monkeypatch.context() as patch:
        patch.setattr(TinyFace, "reads", "faces")
        with pytest.raises(
            ValueError, match=r"from faces, which .* not have, only frames, mfcc, w"
        ):
            add_stream(place, TinyFace(), CPU)
    add_stream(place, TinyFace("seen"), CPU)
    monkeypatch.setattr(TinyFace, "reads", "seen")
    with pytest.raises(ValueError, match="from seen, which an encoder has computed itself: let it"):
        add_stream(place, TinyFace(), CPU)


def test_a_store_of_sounds_that_are_cut_says_what_keeps_them_whole(
    recordings, tmp_path, in_process, small_features, caplog
):
    prepare(Manifest(str(recordings)), replace(small_features, audio_stream=VOICE), tmp_path)
    assert "52 % of the sound was cut off" in caplog.text
    assert "features.audio.crop=whole" in caplog.text


def test_encoders_that_are_not_there_are_named_before_a_clip_is_decoded(
    recordings, tmp_path, small_features
):
    lacking = replace(small_features, audio_stream=TinyVoice("voice", file="no/voice.pt"))
    with pytest.raises(FileNotFoundError, match=r"^No weights at no/voice\.pt\.$"):
        prepare(Manifest(str(recordings)), lacking, tmp_path / "stores")
    assert not list(tmp_path.glob("stores/*.part*"))


class Broken(TinyVoiceModule):
    """An encoder that gives what it should not."""

    def __init__(self, fault):
        super().__init__(4, 0, "sequence")
        self.fault = fault

    def forward(self, waveform, lengths):
        values, steps = super().forward(waveform, lengths)
        if self.fault == "not a number":
            values = values / 0
        if self.fault == "too large":
            values = values * 1e6
        if self.fault == "no steps":
            values = values[:, 0]
        if self.fault == "other widths":
            values = values[..., : 3 + int(lengths[0] == 12_800)]
        if self.fault == "no lengths":
            steps = None
        return Encoded(values, steps)


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("not a number", r"tiny exceed what 16 bits hold \(65504\), or are .* clip s0_0: choose"),
        ("too large", r"tiny exceed what 16 bits hold .* in clip s0_0"),
        (
            "no steps",
            r"of tiny \(Broken\) gives values of shape \(1, 4\) with lengths and declares",
        ),
        (
            "other widths",
            r"of tiny gives clip s0_1 values of shape \(54, 3\), and others of \(4,\)",
        ),
        (
            "no lengths",
            r"of tiny gives clip s0_1 values of shape \(54, 4\), and others of \(39, 4\)",
        ),
    ],
)
def test_an_encoder_that_does_not_keep_its_promise_is_refused(place, monkeypatch, fault, sentence):
    monkeypatch.setattr(TinyVoice, "module", lambda self: Broken(fault))
    with pytest.raises(ValueError, match=sentence):
        add_stream(place, VOICE, CPU)


def test_what_is_no_encoder_is_refused(long_features):
    with pytest.raises(ValueError, match=r"features\.audio_stream is 'wavlm', which lacks stream,"):
        check_encoder("wavlm", "features.audio_stream")
    with pytest.raises(ValueError, match=r"which is of the face: give it as features\.face_stream"):
        replace(long_features, audio_stream=TinyFace())
    with pytest.raises(ValueError, match=r"names of their own.*tiny, tiny"):
        replace(long_features, audio_stream=VOICE, face_stream=TinyFace())


def test_precision_and_device_are_checked_before_anything_is_computed(place):
    with pytest.raises(ValueError, match=r"prepare\.precision must be one of .*got 16"):
        add_stream(place, VOICE, CPU, "16")
    with pytest.raises(ValueError, match=r"prepare\.device=cuda:99 cannot compute streams"):
        choose_device("cuda:99")


def test_bf16_computes_in_half_precision_and_says_so(place):
    add_stream(place, VOICE, CPU, "bf16")
    store = Store(place)
    exact, stored = encode_alone(store, VOICE, 0), store.clip("tiny", 0).float()
    assert not torch.equal(stored, exact.half().float())
    torch.testing.assert_close(stored, exact, rtol=0.05, atol=0.02)
    assert ComputedStream(place / "tiny").description["precision"] == "bf16"


def test_a_stream_of_another_precision_is_told_apart(place):
    add_stream(place, VOICE, CPU, "bf16")
    add_stream(place, VOICE, CPU)  # any will do
    with pytest.raises(ValueError, match=r"computed with prepare\.precision=bf16, not 32: give"):
        add_stream(place, VOICE, CPU, "32")
    assert any(line.endswith(", bf16") for line in tabulate_streams(Store(place)))


@pytest.mark.parametrize("name", ["moments", "audio_features"])
def test_names_with_another_meaning_in_a_store_are_refused(name, small_features):
    with pytest.raises(ValueError, match=f"cannot be called {name}, which means something else"):
        replace(small_features, audio_stream=TinyVoice(name))


def test_nothing_is_computed_of_a_modality_that_no_recording_has(small_features):
    voice, face, more = TinyVoice("voice"), TinyFace("face"), TinyVoice("more")
    features = replace(
        small_features, audio_stream=voice, face_stream=face, more_streams={"more": more}
    )
    names = {
        modalities: [
            encoder.stream
            for encoder in fit_features(features, Contents([], [], modalities=modalities)).encoders
        ]
        for modalities in ("both", "audio", "face")
    }
    assert names == {
        "both": ["voice", "face", "more"],
        "audio": ["voice", "more"],
        "face": ["face"],
    }
