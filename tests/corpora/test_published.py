"""Published corpora: roots, naming rules, modalities, files that are no media, and reports."""

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from published import (
    draw_pictures,
    report_of,
    write_clip,
    write_companions,
    write_pointer,
    write_voice,
)

from avfusion.corpora.published import KnownDefect, NamedFile, PublishedCorpus, Size, Take
from avfusion.corpora.recording import Box
from avfusion.data.store import Store
from avfusion.features import AudioFeatures, FaceFeatures, Features
from avfusion.preparation import file_digests, summary
from avfusion.preparation.prepare import Preparation, compute_key, prepare
from avfusion.preparation.summary import preview_store, summarize_store

SMALL = Features(FaceFeatures(size=16, num_frames=2), AudioFeatures(duration=0.3))
KINDS = {"v": "video", "p": "picture", "s": "sound"}


class Toy(PublishedCorpus):
    """``anna/v_1_happy.mp4``: kind, number and emotion."""

    name = "toy"
    title = "Toy"
    layout = "anna/v_1_happy.mp4"
    pattern = re.compile(r"(?P<subject>\w+)/(?P<kind>[vps])_(?P<number>\d+)_(?P<label>\w+)\.\w+$")
    class_names = ("happy", "calm", "sad")
    known_bad: Mapping[str, KnownDefect] = {
        "anna_9": KnownDefect("two faces", "https://example.org/issues/1")
    }

    @property
    def size(self) -> Size:
        return Size(4, ["anna", "ben"])

    def describe(self, file: NamedFile) -> Take | None:
        subject, kind, number, label = file.name.group("subject", "kind", "number", "label")
        if label not in self.class_names:
            raise ValueError(f"emotion {label}")
        attributes = {"number": number, "unknown": ""}
        return Take(
            f"{subject}_{number}", KINDS[kind], file.path, label, subject, attributes=attributes
        )


def write_toy(root: Path, names: Sequence[str] = ("v_1_sad.mp4", "v_2_happy.mp4")) -> Path:
    """Two clips of two people each."""
    for subject in ("anna", "ben"):
        for name in names:
            path = root / subject / name
            write_voice(path) if path.suffix == ".wav" else write_clip(path)
    return root


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_toy(tmp_path_factory.mktemp("downloads") / "toy")


def test_names_give_labels_subjects_and_attributes_and_classes_are_those_that_occur(toy):
    contents = Toy(str(toy)).read()
    assert [(clip.clip_id, clip.label, clip.subject) for clip in contents.recordings] == [
        ("anna_1", "sad", "anna"),
        ("anna_2", "happy", "anna"),
        ("ben_1", "sad", "ben"),
        ("ben_2", "happy", "ben"),
    ]
    assert contents.recordings[1].attributes == (("number", "2"),)
    assert contents.output_names == ["happy", "sad"]
    assert not contents.faults
    assert not contents.left_out


def test_the_root_is_the_folder_or_the_one_above_or_several_that_hold_parts(toy, tmp_path):
    whole = Toy(str(toy)).read().recordings
    assert Toy(str(toy.parent)).read().recordings == whole
    assert Toy([str(toy / "ben"), str(toy / "anna")]).read().recordings == whole
    (tmp_path / "link").symlink_to(toy)
    (tmp_path / "link_above").symlink_to(tmp_path)
    linked = Toy(str(tmp_path)).read().recordings
    assert [clip.clip_id for clip in linked] == [clip.clip_id for clip in whole]


def test_clips_are_in_natural_order(tmp_path):
    write_toy(tmp_path, [f"s_{number}_sad.wav" for number in (10, 9, 100)])
    found = Toy(str(tmp_path), modalities="audio", include_known_bad=True).read().recordings
    assert [clip.clip_id for clip in found[:3]] == ["anna_9", "anna_10", "anna_100"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([], "holds no file of Toy, found nothing, expected anna/v_1_happy.mp4: name the folder"),
        (["a.zip", "b.zip"], "found 2 files (.zip 2), expected anna/v_1_happy.mp4: unpack"),
        (["x/photo.jpg", "readme"], "found 2 files (no suffix 1, .jpg 1), expected"),
        (["x/other.mp4"], "found 1 file (.mp4 1), such as wrong/x/other.mp4, expected"),
        (["anna/v_1_bored.mp4"], "such as wrong/anna/v_1_bored.mp4 (emotion bored), expected"),
    ],
)
def test_of_a_wrong_root_one_sentence_says_what_was_found_and_expected(tmp_path, files, sentence):
    root = tmp_path / "wrong"
    root.mkdir()
    for name in files:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("text")
    with pytest.raises(FileNotFoundError, match=re.escape(sentence)) as error:
        Toy(str(root)).read()
    assert str(root) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_root_that_is_no_folder_and_options_that_are_none_are_refused(toy):
    with pytest.raises(FileNotFoundError, match=r"corpus.root=.*nowhere is no folder.*Toy"):
        Toy(str(toy / "nowhere")).read()
    with pytest.raises(ValueError, match="modalities must be one of both, audio, face, got 'all'"):
        Toy(str(toy), modalities="all")
    with pytest.raises(ValueError, match="on_error must be one of skip, raise, got 'stop'"):
        Toy(str(toy), on_error="stop")


def test_what_breaks_the_naming_rule_is_counted_and_shown_and_companions_are_not(toy, tmp_path):
    root = Path(shutil.copytree(toy, tmp_path / "toy"))
    write_companions(root / "anna")
    write_companions(root / "@eaDir")
    for name in ("v_3_bored.mp4", "copy.mp4", "v_4.wav"):
        (root / "anna" / name).write_text("text")
    contents = Toy(str(root)).read()
    (fault,) = contents.faults
    assert fault.startswith(f"3 files in {root} do not follow the naming rule of Toy")
    assert "toy/anna/v_3_bored.mp4 (emotion bored)" in fault
    assert len(contents.recordings) == 4


def test_a_part_of_the_corpus_is_told_with_who_is_missing(toy):
    (fault,) = Toy(str(toy / "anna")).read().faults
    assert fault.startswith("Toy has 4 clips of 2 subjects, and ")
    assert "2 of 1: nothing of ben." in fault


def test_files_that_lie_twice_count_once_and_are_told(toy, tmp_path):
    for copy in ("one", "two"):
        shutil.copytree(toy, tmp_path / copy)
    contents = Toy(str(tmp_path)).read()
    assert len(contents.recordings) == 4
    (fault,) = contents.faults
    assert fault.startswith("4 files of Toy lie in several folders, and the first counts: ")


def test_one_option_chooses_pictures_with_sound_or_voices_or_pictures(tmp_path):
    root = write_toy(tmp_path, ["v_1_sad.mp4"])
    for kind, suffix in (("p", "mp4"), ("s", "wav")):
        path = root / "anna" / f"{kind}_2_happy.{suffix}"
        write_voice(path) if kind == "s" else write_clip(path, sound=False)

    media = {
        how: {
            clip.clip_id: {
                name: getattr(clip, name).name
                for name in ("video", "image", "audio")
                if getattr(clip, name)
            }
            for clip in Toy(str(root), modalities=how).read().recordings
        }
        for how in ("both", "audio", "face")
    }
    pair = {"image": "p_2_happy.mp4", "audio": "s_2_happy.wav"}
    assert media["both"]["anna_1"] == {"video": "v_1_sad.mp4"}
    assert media["both"]["anna_2"] == pair
    assert media["audio"]["anna_1"] == {"audio": "v_1_sad.mp4"}
    assert media["audio"]["anna_2"] == {"audio": "s_2_happy.wav"}
    assert media["face"]["anna_1"] == {"image": "v_1_sad.mp4"}
    assert media["face"]["anna_2"] == {"image": "p_2_happy.mp4"}


@pytest.mark.parametrize("how", ["audio", "face"])
def test_clips_of_one_modality_do_not_lack_the_other(toy, tmp_path, in_process, how):
    store = Store(prepare(Toy(str(toy), modalities=how), SMALL, tmp_path))
    assert len(store) == 4
    assert store.has_audio.all() == (how == "audio")
    assert store.has_face.all() == (how == "face")
    assert store.has_audio.any() != store.has_face.any()


def test_sound_and_pictures_of_two_files_are_on_one_clock(tmp_path):
    colors = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]
    pictures = [draw_pictures("any", 1)[0] * 0 + color for color in colors]
    pictures = [picture.astype("uint8") for picture in pictures]
    image = write_clip(tmp_path / "anna" / "p_1_sad.avi", sound=False, seconds=2, pictures=pictures)
    write_voice(tmp_path / "anna" / "s_1_sad.wav", seconds=1)  # of the first half of the pictures
    (clip,) = Toy(str(tmp_path)).read().recordings
    assert clip.image == image
    features = Features(FaceFeatures(size=16, num_frames=2), AudioFeatures(duration=1.0))
    shown = features(clip).face[:, 8, 8].argmax(axis=-1).tolist()
    assert shown == [0, 1]


def test_a_span_and_a_region_of_the_pictures_are_cut_out(tmp_path):
    class Dialogue(Toy):
        def describe(self, file):
            take = super().describe(file)
            return take._replace(span=(1.0, 2.0), region=Box(0.5, 0.0, 1.0, 1.0))

    left, right = [(0, 200, 0), (200, 0, 0)], [(200, 0, 0), (0, 0, 200)]
    pictures = []
    for halves in zip(left, right, strict=True):
        picture = draw_pictures("any", 1)[0]
        picture[:, :24], picture[:, 24:] = halves
        pictures.append(picture)
    write_clip(tmp_path / "anna" / "p_1_sad.avi", sound=False, seconds=2, pictures=pictures)
    corpus = Dialogue(str(tmp_path), modalities="face")
    (clip,) = corpus.read().recordings
    features = Features(FaceFeatures(size=16), AudioFeatures(duration=0.3))
    crop = Preparation(corpus, features, tmp_path / "stores").features(clip).face[0]
    assert (crop[8].argmax(axis=-1) == 2)[4:12].all()  # the right half, of the second half


def test_attributes_spans_and_regions_name_the_store(toy):
    corpus = Toy(str(toy))
    contents = corpus.read()
    first, *others = contents.recordings
    keys = {compute_key(corpus, contents, SMALL)}
    for changed in ({"attributes": ()}, {"span": (0.0, 0.1)}, {"region": Box(0, 0, 0.5, 1)}):
        clip = type(first)(**vars(first) | changed)
        keys.add(compute_key(corpus, contents._replace(recordings=[clip, *others]), SMALL))
    assert len(keys) == 4


def test_attributes_are_columns_of_the_store(toy, tmp_path, in_process):
    store = Store(prepare(Toy(str(toy)), SMALL, tmp_path))
    assert store.attributes == ["number"]
    assert store.attribute("number") == ["1", "2", "1", "2"]


def test_known_bad_clips_are_left_out_and_listed_with_reason_and_source(tmp_path, in_process):
    root = write_toy(tmp_path / "toy", ["v_1_sad.mp4", "v_9_sad.mp4"])
    corpus = Toy(str(root))
    assert "1 clip left out, two faces: anna_9 (https://example.org/issues/1)" in preview_store(
        corpus, SMALL, tmp_path, None
    )
    store = Store(prepare(corpus, SMALL, tmp_path))
    row = report_of(store)["anna_9"]
    assert (row["outcome"], row["reason"]) == ("left out", "two faces")
    assert row["detail"] == "https://example.org/issues/1"
    assert store.skipped() == {"anna_9"}
    assert "Left out 1 clip of the corpus: two faces (1)" in summarize_store(store.root)
    assert len(Toy(str(root), include_known_bad=True).read().recordings) == 4


def test_pointers_and_empty_files_are_told_and_left_out(toy, tmp_path):
    root = Path(shutil.copytree(toy, tmp_path / "toy"))
    write_pointer(root / "anna" / "v_3_sad.mp4")
    (root / "anna" / "v_4_sad.mp4").write_bytes(b"")
    contents = Toy(str(root)).read()
    assert len(contents.recordings) == 4
    pointer, empty = contents.faults
    assert pointer.startswith(f"1 of 6 clips of Toy in {root} cannot be used (git-LFS pointer")
    assert pointer.endswith("run git lfs pull in that folder.")
    assert "(empty file)" in empty
    with pytest.raises(ValueError, match="1 of 6 clips of Toy"):
        Toy(str(root), on_error="raise").read()


def test_where_all_files_are_pointers_that_is_the_error(tmp_path):
    for number in range(3):
        write_pointer(tmp_path / "anna" / f"v_{number}_sad.mp4")
    with pytest.raises(FileNotFoundError, match=r"3 of 3 clips of Toy .*git-LFS.*git lfs pull"):
        Toy(str(tmp_path)).read()


def test_what_lacks_a_modality_is_left_out_or_names_the_option(tmp_path):
    root = write_toy(tmp_path, ["s_1_sad.wav"])
    with pytest.raises(FileNotFoundError, match=r"no picture.*set corpus.modalities=audio"):
        Toy(str(root)).read()
    write_clip(root / "anna" / "v_2_happy.mp4")
    contents = Toy(str(root)).read()
    assert [clip.clip_id for clip in contents.recordings] == ["anna_2"]
    assert [(clip.clip_id, clip.reason) for clip in contents.left_out] == [
        ("anna_1", "no picture"),
        ("ben_1", "no picture"),
    ]


def test_a_preview_is_a_table_and_all_that_is_wrong_and_decodes_nothing(tmp_path):
    for name in ("v_1_sad.mp4", "v_2_happy.mp4", "v_3.mp4"):
        (tmp_path / "anna").mkdir(exist_ok=True)
        (tmp_path / "anna" / name).write_bytes(b"no video at all")
    lines = preview_store(Toy(str(tmp_path)), SMALL, tmp_path / "stores", None).splitlines()
    table = dict(line.rsplit(maxsplit=1) for line in map(str.strip, lines[2:6]))
    assert table == {"clips": "2", "subjects": "1", "happy": "1", "sad": "1"}
    assert "does not follow the naming rule" in lines[6]
    assert "nothing of ben" in lines[7]
    assert not list(tmp_path.glob("stores/toy-*"))


def test_a_preview_of_large_files_reads_none_of_them(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(summary, "PREVIEW_BYTES", 1000)
    monkeypatch.setattr(file_digests, "hash_file", None)  # would be called
    corpus = Toy(str(toy))
    first = preview_store(corpus, SMALL, tmp_path, None).splitlines()[0]
    assert first.startswith(f"A store in {tmp_path}, whose name needs all files read (0.0 GB), ")
