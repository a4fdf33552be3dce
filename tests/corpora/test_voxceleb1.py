"""VoxCeleb1: a list that assigns sounds to splits, in one folder or in several."""

from collections import Counter
from pathlib import Path

import pytest
from conftest import load
from hydra.utils import instantiate
from published import prepare_by_command, preview, write_voice

from avfusion.corpora import Voxceleb1, voxceleb1

LISTED = {
    "id10001/1zcIwhmdeo4/00001": 1,
    "id10001/1zcIwhmdeo4/00002": 2,
    "id10001/7gWzIy6yIIk/00001": 3,
    "id10270/5r0dWxy17C8/00001": 1,
    "id10270/-x6uYqmx31k/00001": 2,
    "id10270/8jEAjG6SegY/00002": 3,
}
META = (
    "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    "id10001\tA.J._Buckley\tm\tIreland\tdev\n"
    "id10270\tEartha_Kitt\tf\tUSA\ttest\n"
)


def write_list(path: Path, clips=LISTED) -> None:
    lines = [f"{number} {clip}.wav\n" for clip, number in clips.items()]
    path.write_text("".join(lines), encoding="utf-8")


def write_voxceleb1(root: Path, folder: str = "wav") -> Path:
    """Six sounds of two speakers; the folders of the archives hold one each."""
    for clip in LISTED:
        part = folder.format("dev" if clip < "id10270" else "test")
        write_voice(root / part / f"{clip}.wav")
        address = root / "txt" / f"{clip}.txt"  # of the frames, as YouTube has them
        address.parent.mkdir(parents=True, exist_ok=True)
        address.write_text("FRAME X Y W H")
    write_list(root / "iden_split.txt")
    (root / "vox1_meta.csv").write_text(META)
    return root


@pytest.fixture(scope="module")
def voxceleb1_root(tmp_path_factory) -> Path:
    return write_voxceleb1(tmp_path_factory.mktemp("downloads") / "VoxCeleb1")


def test_the_list_assigns_the_splits_and_folders_tell_who_speaks_in_which_video(voxceleb1_root):
    contents = Voxceleb1(str(voxceleb1_root)).read()
    assert contents.output_names == ["id10001", "id10270"]
    assert contents.modalities == "audio"
    assert {clip.clip_id: clip.split for clip in contents.recordings} == {
        clip: ("train", "val", "test")[number - 1] for clip, number in LISTED.items()
    }
    clip = next(clip for clip in contents.recordings if "-x6u" in clip.clip_id)
    assert (clip.label, clip.subject, clip.session) == ("id10270", "id10270", "-x6uYqmx31k")
    assert dict(clip.attributes) == {"gender": "female", "nationality": "USA"}
    assert clip.audio == voxceleb1_root / "wav/id10270/-x6uYqmx31k/00001.wav"


def test_the_official_list_has_153516_clips():
    assert sum(Voxceleb1.size.splits.values()) == 153_516


@pytest.mark.parametrize("folder", ["vox1_{}_wav/wav", "{}/wav", "{}", "."])
def test_folders_in_circulation_are_the_same_corpus(voxceleb1_root, tmp_path, folder):
    write_voxceleb1(tmp_path, folder)
    told = [
        [(clip.clip_id, clip.split) for clip in Voxceleb1(str(root)).read().recordings]
        for root in (voxceleb1_root, tmp_path)
    ]
    assert told[0] == told[1]


def test_the_list_is_found_beside_the_folder_of_the_sounds(voxceleb1_root):
    clips = Voxceleb1(str(voxceleb1_root / "wav")).read().recordings
    assert len(clips) == 6
    assert dict(clips[0].attributes)["nationality"] == "Ireland"


def test_reading_looks_at_no_file_of_sound(voxceleb1_root, monkeypatch):
    looked = []
    stat = Path.stat
    monkeypatch.setattr(
        Path, "stat", lambda path, **more: looked.append(path) or stat(path, **more)
    )
    Voxceleb1(str(voxceleb1_root)).read()
    assert not [path for path in looked if path.suffix == ".wav"]


def test_sounds_that_are_not_listed_and_missing_ones_are_told_by_counts(tmp_path):
    write_voxceleb1(tmp_path)
    write_voice(tmp_path / "wav/id10001/1zcIwhmdeo4/00099.wav")
    contents = Voxceleb1(str(tmp_path)).read()
    unlisted, part = contents.faults
    assert unlisted.startswith("1 file of VoxCeleb1 is not in ")
    assert "00099.wav" in unlisted
    assert part == (
        "VoxCeleb1 has 138361 clips of train, 6904 clips of val, 8251 clips of test, and "
        f"{tmp_path} 2 of train, 2 of val, 2 of test. If that is not on purpose, download the rest."
    )


def test_what_is_wrong_with_a_folder_is_said_in_a_sentence(tmp_path):
    root = write_voxceleb1(tmp_path / "a")
    (root / "iden_split.txt").write_text("1 id10001/1zcIwhmdeo4/00001.wav\n4 what\n")
    with pytest.raises(ValueError, match=r"Line 2 of .*iden_split.txt is '4 what', expected one"):
        Voxceleb1(str(root)).read()
    (root / "iden_split.txt").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"holds 6 files of VoxCeleb1 and no iden_split.txt"
    ):
        Voxceleb1(str(root)).read()
    with pytest.raises(FileNotFoundError, match=r"\(no picture\), such as id10001"):
        write_list(root / "iden_split.txt")
        Voxceleb1(str(root), modalities="both").read()
    (tmp_path / "b").mkdir()
    with pytest.raises(
        FileNotFoundError, match="no file of VoxCeleb1, found nothing, expected wav"
    ):
        Voxceleb1(str(tmp_path / "b")).read()


def test_one_command_prepares_it_and_every_result_counts_the_speakers(voxceleb1_root, tmp_path):
    given = ("corpus=voxceleb1", f"corpus.root={voxceleb1_root}", f"prepare.stores={tmp_path}")
    assert "refused" not in preview(*given)
    store = prepare_by_command(*given)
    assert Counter(store.texts("split")) == {"train": 2, "val": 2, "test": 2}

    small = ["data.features.face.size=16", "data.features.audio.duration=0.3"]
    root = f"data.corpus.root={voxceleb1_root}"
    cfg = load("train", "data=voxceleb1", root, f"data.store={tmp_path}", *small)
    data = instantiate(cfg.data, _convert_="all")
    assert data.description["shared_subjects"] == ["id10001", "id10270"]
    assert voxceleb1.LIST_ADDRESS.endswith(voxceleb1.LIST)
