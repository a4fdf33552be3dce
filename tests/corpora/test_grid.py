"""GRID: the talker or one of six words, the talker without video, and one command."""

from collections import Counter
from pathlib import Path

import pytest
from published import prepare_by_command, prepare_by_training, write_clip, write_voice

from avfusion.corpora import Grid

CODES = ("bbaf2n", "lgwz9p", "srixzs")
WORDS = {
    "command": ["bin", "lay", "set"],
    "color": ["blue", "green", "red"],
    "preposition": ["at", "with", "in"],
    "letter": ["f", "z", "x"],
    "digit": ["two", "nine", "zero"],
    "adverb": ["now", "please", "soon"],
}


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("grid")
    for talker in ("s1", "s2", "s10"):
        for code in CODES:
            write_clip(root / talker / f"{code}.mpg", f"{talker}{code}")
    for code in CODES:
        write_voice(root / "s21" / f"{code}.wav")
    return root


def test_the_label_is_the_talker_or_the_word_of_a_slot(grid):
    contents = Grid(str(grid)).read()
    assert contents.output_names == ["s1", "s2", "s10"]
    assert Counter(clip.label for clip in contents.recordings) == {"s1": 3, "s2": 3, "s10": 3}
    for slot, words in WORDS.items():
        found = Grid(str(grid), slot).read()
        assert [clip.label for clip in found.recordings[:3]] == words
        assert {clip.subject for clip in found.recordings} == {"s1", "s2", "s10"}
        assert not Grid(str(grid), slot).allowed_leaks
        assert sorted(found.output_names) == sorted(words)
    assert "subject_overlap" in Grid(str(grid)).allowed_leaks  # talkers are to be known again
    assert dict(contents.recordings[0].attributes) == {
        slot: words[0] for slot, words in WORDS.items()
    }
    with pytest.raises(ValueError, match=r"label must be one of talker, command, .*got 'word'"):
        Grid(str(grid), "word")


def test_the_talker_without_video_is_heard_and_not_seen(grid):
    assert len(Grid(str(grid), modalities="audio").read().recordings) == 12
    contents = Grid(str(grid)).read()
    assert [(clip.clip_id, clip.reason) for clip in contents.left_out] == [
        (f"s21_{code}", "no picture") for code in CODES
    ]
    assert "GRID has 33000 clips of 33 subjects" in contents.faults[0]


@pytest.mark.parametrize("layout", ["{}/video/mpg_6000", "{}/video/mpg_vcd", "video/{}", "{}/{}"])
def test_folders_between_the_talker_and_the_file_do_not_matter(grid, tmp_path, layout):
    for talker in ("s1", "s2", "s10"):
        for code in CODES:
            folder = tmp_path / layout.format(talker, talker)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{code}.mpg").symlink_to(grid / talker / f"{code}.mpg")
    told = [
        [(clip.clip_id, clip.label) for clip in Grid(str(root)).read().recordings]
        for root in (grid, tmp_path)
    ]
    assert told[0] == told[1]


def test_letters_that_no_word_has_and_other_talkers_are_told(tmp_path):
    for path in ("s1/xbaf2n", "s1/bbaw2n", "s1/bbaf2x", "s35/bbaf2n", "s1/test"):
        write_clip(tmp_path / f"{path}.mpg")
    write_clip(tmp_path / "s1" / "bbaf2n.mpg")
    (fault, _) = Grid(str(tmp_path)).read().faults
    assert fault.startswith("5 files ")
    assert "(command x)" in fault or "(letter w)" in fault


@pytest.mark.slow
def test_one_command_prepares_it_and_so_does_training(grid, tmp_path, in_process):
    given = f"corpus.root={grid}"
    stores = f"prepare.stores={tmp_path}"
    store = prepare_by_command("corpus=grid", given, "corpus.label=digit", stores)
    assert len(store) == 9
    assert store.has_face.all()
    assert store.has_audio.all()
    assert store.attribute("color")[:3] == WORDS["color"]
    again = prepare_by_training(tmp_path, "data=grid", f"data.{given}", "data.corpus.label=digit")
    assert again.root == store.root
