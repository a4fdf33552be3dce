"""Claims about shares of a corpus, and about the store that is made of them."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import write_recordings
from tiny_encoders import TinyFace, TinyVoice

from avfusion.corpora import Manifest
from avfusion.data.store import Store
from avfusion.features import FaceFeatures, Policies
from avfusion.preparation import merge, streams, workers
from avfusion.preparation.executors.local import InProcess
from avfusion.preparation.merge import merge_shares
from avfusion.preparation.prepare import Preparation
from avfusion.preparation.shares import Share, summarize_share


@pytest.mark.parametrize("clips", [7, 10, 1000, 100_001])
@pytest.mark.parametrize("count", [1, 3, 7])
def test_shares_are_disjoint_whole_and_balanced(clips, count):
    bounds = [Share(n, count).find_bounds(clips, 1024) for n in range(1, count + 1)]
    edges = [0, *(last for _, last in bounds)]
    assert [first for first, _ in bounds] == edges[:-1] and edges[-1] == clips
    sizes = np.diff(edges)
    assert abs(sizes - clips / count).max() <= max(1, clips / count / 8)


def test_edges_of_large_shares_are_those_of_files():
    assert Share(1, 3).find_bounds(100_001, 1024)[1] % 1024 == 0
    assert Share(1, 3).find_bounds(10_000, 1024)[1] % 256 == 0


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/0", "a/b", "1/2/3"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match=rf"prepare\.shard must be one of .* got {text}"):
        Share.parse(text)


def test_more_shares_than_clips_are_refused():
    with pytest.raises(ValueError, match=r"prepare\.shard=1/9 shares out 8 clips: use at most 8"):
        Share(1, 9).find_bounds(8, 100)


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def write_corpus(folder):
    """Twelve recordings: the second share has no sound, and the third nothing that can be read."""
    root = write_recordings(folder, subjects=3)
    with (root / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (root / "s0_1.wav").write_bytes(b"")
    for row in rows:
        row |= {"split": "train", "attribute.mood": row["subject"]}
        if row["subject"] == "s1":
            row["audio_path"] = ""
        if row["subject"] == "s2":
            (root / row["image_path"]).write_bytes(b"")
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return Manifest(str(root))


@pytest.fixture(scope="module")
def made(tmp_path_factory, long_features):
    """A corpus, its settings, its store, and those of its shares."""
    root = tmp_path_factory.mktemp("shares")
    corpus = write_corpus(root / "recordings")
    features = replace(
        long_features,
        policies=Policies(missing="mask"),
        audio_stream=TinyVoice("voice"),
        face_stream=TinyFace("maps", kind="maps"),
        more_streams={"mean": TinyVoice("mean", kind="vector")},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "STREAM_CHUNK_CLIPS", 3)
        patch.setattr(workers, "CHUNK_CLIPS", 3)
        whole = Preparation(corpus, features, root / "whole").run(InProcess())
        shares = [
            Preparation(corpus, features, root / n, share=f"{n}/3").run(InProcess()) for n in "123"
        ]
    return corpus, features, whole, shares


@pytest.fixture
def in_parts(monkeypatch):
    monkeypatch.setattr(streams, "STREAM_CHUNK_CLIPS", 3)
    monkeypatch.setattr(workers, "CHUNK_CLIPS", 3)


@pytest.mark.slow
def test_all_shares_make_the_store_of_one_preparation(made, in_parts, tmp_path):
    _, _, whole, shares = made
    assert [len(Store(share)) for share in shares] == [3, 4, 0] and len(Store(whole)) == 7
    assert [sorted(Store(share).computed) for share in shares] == [
        ["maps", "mean", "voice"],
        ["maps"],
        [],
    ]
    merged, was_there = merge_shares([str(share) for share in reversed(shares)], tmp_path)
    assert merged.name == whole.name and not was_there
    assert files(merged) == files(whole)
    assert merge_shares([str(shares[0].parent.parent / "?" / "*.share_*")], tmp_path) == (
        merged,
        True,
    )
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [merged.name]


@pytest.mark.slow
def test_files_of_shares_become_files_of_the_store_where_their_edges_are_the_same(
    recordings, long_features, tmp_path, monkeypatch
):
    clip_bytes = sum(array.nbytes for array in long_features.arrays(1).values())
    monkeypatch.setattr(workers, "SHARD_BYTES", 8 * clip_bytes)
    monkeypatch.setattr(streams, "STREAM_CHUNK_CLIPS", 4)
    features = replace(long_features, audio_stream=TinyVoice())
    corpus = Manifest(str(recordings))
    whole = Preparation(corpus, features, tmp_path / "whole").run(InProcess())
    shares = [
        Preparation(corpus, features, tmp_path, share=f"{n}/3").run(InProcess()) for n in (1, 2, 3)
    ]
    monkeypatch.setattr(merge, "copy_items", copying := CopyOnce())
    merged, _ = merge_shares([str(share) for share in shares], tmp_path)
    assert files(merged) == files(whole)
    for number, share in enumerate(shares):
        assert (merged / "frames" / f"0000{number}.npy").samefile(share / "frames" / "00000.npy")
        for part in (0, 1):
            own, other = f"0000{2 * number + part}.npy", f"0000{part}.npy"
            assert (merged / "tiny" / own).samefile(share / "tiny" / other)
    assert copying.shapes == {9}  # the moments of the voice alone: nine numbers of each clip


def test_one_recording_with_two_labels_in_two_shares_is_refused_as_in_one_preparation(
    tmp_path, in_process, small_features
):
    root = write_recordings(tmp_path / "recordings", subjects=2)
    shutil.copy(root / "s0_0.wav", root / "s1_1.wav")
    shutil.copy(root / "s0_0.png", root / "s1_1.png")
    corpus = Manifest(str(root))
    with pytest.raises(ValueError, match="The same recording has more than one label") as whole:
        Preparation(corpus, small_features, tmp_path).run()
    shares = [Preparation(corpus, small_features, tmp_path, share=f"{n}/2").run() for n in (1, 2)]
    assert refused(shares, tmp_path) == str(whole.value)


class CopyOnce:
    """Copy, and note what is copied."""

    def __init__(self):
        self.shapes = set()

    def __call__(self, source, target):
        self.shapes.add(source.shape[-1])
        target[: len(source)] = source


def change(share, file, **values):
    """Change what a JSON file of a share says."""
    content = json.loads((share / file).read_text())
    (share / file).write_text(json.dumps(content | values))


@pytest.fixture
def copies(made, tmp_path):
    """Copies of the shares, which a test may change."""
    _, _, _, shares = made
    return [shutil.copytree(share, tmp_path / share.name) for share in shares]


def refused(shares, tmp_path):
    """The sentence that refuses to merge these folders, of which nothing is left."""
    with pytest.raises((ValueError, OSError)) as error:
        merge_shares([str(share) for share in shares], tmp_path / "merged")
    assert not any(path.is_dir() for path in (tmp_path / "merged").glob("*"))
    return str(error.value)


def test_a_share_that_is_missing_or_given_twice_is_named(made, tmp_path):
    one, two, three = made[3]
    assert refused([one, three], tmp_path).startswith(
        "1 share of 3 is missing (2): prepare it with prepare.shard=2/3, and name its folder, too."
    )
    assert f"Share 2 of 3 is given 2 times ({two}, {two}): name one" in refused(
        [one, two, two, three], tmp_path
    )
    assert "2 shares of 3 are missing (1, 3)" in refused([two], tmp_path)


def test_a_share_of_other_settings_or_recordings_is_refused_with_what_differs(
    made, tmp_path, in_process
):
    corpus, features, _, shares = made
    other = replace(features, face=FaceFeatures(size=40))
    stranger = Preparation(corpus, other, tmp_path, share="3/3").run()
    told = refused([*shares[:2], stranger], tmp_path)
    assert "of other settings (features.face.size: 40 and 32): prepare it again" in told
    fewer = Preparation(corpus, features, tmp_path, limit=9, share="3/3").run()
    assert "3 of 3 of 9 clips, not one of 3 of 12" in refused([*shares[:2], fewer], tmp_path)


def test_a_share_of_a_changed_corpus_is_refused(copies, tmp_path):
    change(copies[1], "share.json", recordings="another")
    assert "its corpus lists other recordings, or in another order" in refused(copies, tmp_path)


def test_versions_that_differ_are_told(copies, tmp_path, caplog):
    change(copies[1], "share.json", environment={"numpy": "1.0"})
    assert "are not as they were written (share.json)" in refused(copies, tmp_path)
    assert "was prepared with other versions of Python" in caplog.text


def test_a_damaged_byte_is_found(copies, tmp_path):
    values = np.load(copies[0] / "frames" / "00000.npy", mmap_mode="r+")
    values[0, 0, 0] += 1
    values.flush()
    assert "are not as they were written (frames/00000.npy)" in refused(copies, tmp_path)


def test_a_stream_of_another_encoder_or_of_one_share_alone_is_refused(copies, tmp_path):
    content = json.loads((copies[1] / "maps" / "stream.json").read_text())
    content["stream"]["sha256"] = "0"
    (copies[1] / "maps" / "stream.json").write_text(json.dumps(content))
    told = refused(copies, tmp_path)
    assert f"The stream maps of {copies[1]} is not that of {copies[0]} (sha256: 0 and" in told
    shutil.rmtree(copies[1] / "maps")
    assert f"{copies[1]} lacks the stream maps, which {copies[0]} has" in refused(copies, tmp_path)


def test_what_is_no_share_cannot_be_merged(made, tmp_path):
    assert f"{made[2]} is no share of a store" in refused([made[2]], tmp_path)
    assert f"No folder {tmp_path / 'x'}: give" in refused([tmp_path / "x"], tmp_path)


def test_the_summary_of_a_share_says_what_to_do_with_it(made):
    told = summarize_share(made[3][0], 3)
    assert "share 1 of 3 of recordings, 3 of 4 clips kept." in told and "prepare.merge=[" in told
