"""Headers of tables: read as they are meant, or refused with the column that they resemble."""

import pytest
from conftest import write_manifest

from avfusion.corpora import Box, Manifest

COLUMNS = ("clip_id", "image_path", "audio_path", "label", "subject", "split", "session")
BOX = ("box_left", "box_top", "box_right", "box_bottom")


def row(number):
    values = (f"c{number}", "a.png", "a.wav", "x", f"s{number}", ("train", "test")[number % 2])
    values += ("x",)
    return dict(zip(COLUMNS, values, strict=True)) | dict(zip(BOX, (1, 2, 3, 4), strict=True))


@pytest.fixture
def read(tmp_path):
    """Read a manifest some of whose columns have other names."""
    for name in ("a.png", "a.wav", "a.mp4"):
        (tmp_path / name).touch()

    def read(names=None, extra=None, encoding="utf-8", **options):
        names, extra = names or {}, extra or {}
        rows = [
            {names.get(key, key): value for key, value in row(number).items() if names.get(key, 1)}
            | extra
            for number in range(4)
        ]
        path = write_manifest(tmp_path, rows)
        path.write_bytes(path.read_text(encoding="utf-8").encode(encoding))
        return Manifest(str(tmp_path), **options).read()

    return read


VARIANTS = {
    "clip_id": [
        "Clip ID",
        "clip-id",
        "ClipId",
        "CLIP_ID ",
        "\ufeffclip_id",
        "clip\u00a0id",
        "#clip_id",
    ],
    "image_path": [" image_path", "Image Path", "image-path", "IMAGE_PATH", "image.path"],
    "audio_path": [" audio_path", "Audio_Path", "\uff41udio_path", "audio\u2010path", "audiopath"],
    "label": ["LABEL", "Label ", " label\t", "la\u200bbel", "\uff2c\uff21\uff22\uff25\uff2c"],
    "subject": ["Subject ", "SUBJECT", "sub\u00adject", "\u3000subject"],
    "split": [" Split", "SPLIT", "split\u200b"],
    "session": ["Session", "ses-sion"],
    "box_left": ["Box Left", "box-left", "BoxLeft", " BOX_LEFT "],
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_case_blanks_and_punctuation_do_not_tell_columns_apart(read, encoding):
    expected = read()
    assert all(clip.image and clip.audio and clip.subject for clip in expected.recordings)
    assert {clip.box for clip in expected.recordings} == {Box(1, 2, 3, 4)}
    for ours, names in VARIANTS.items():
        for theirs in names:
            assert read({ours: theirs}, encoding=encoding) == expected, theirs


def test_nor_do_they_tell_given_names_of_columns_apart(read):
    found = read(
        {"subject": "Speaker ", "box_top": "Y0"}, columns={"subject": "speaker", "box_top": "y 0"}
    )
    assert found == read()
    with pytest.raises(ValueError, match=r"has a column 'speakr', which resembles speaker: rename"):
        read({"subject": "speakr"}, columns={"subject": "speaker"})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        *(("audio_path", name) for name in ("audio_pth", "aduio_path", "audio", "audio_file")),
        *(("image_path", name) for name in ("image_paths", "Image", "Imagepaht")),
        *(("box_left", name) for name in ("box_lft", "left", "bbox_left", "box_left_px")),
        *(("split", name) for name in ("splits", "spilt", "Spli t s")),
        *(("session", name) for name in ("sessions", "session_id")),
        *(("label", name) for name in ("labels", "lable")),
        *(("subject", name) for name in ("subjects", "sujbect")),
    ],
)
def test_a_column_that_resembles_one_of_ours_is_never_ignored(read, ours, theirs):
    sentence = rf"has a column {theirs!r}, which resembles {ours}: rename it, or .*corpus\.columns"
    with pytest.raises(ValueError, match=sentence):
        read({ours: theirs})
    assert read({ours: theirs}, columns={ours: theirs}) == read()


@pytest.mark.parametrize(
    "name",
    ["intensity", "source_repo", "subject_id", "audio_seconds", "label_2", "box_score", "video"],
)
def test_other_columns_are_ignored(read, name):
    extra = {name: "7"} | ({"video_path": "a.mp4"} if name == "video" else {})
    assert len(read(extra=extra).recordings) == 4


@pytest.mark.parametrize("name", ["Label", "LABEL ", "la-bel"])
def test_two_columns_that_can_be_one_of_ours_are_refused_unless_one_is_named(read, name):
    with pytest.raises(ValueError, match=r"has several columns that can be label, .*: leave one"):
        read(extra={name: "y"})
    with pytest.raises(ValueError, match=r"several columns that can be label"):
        read({"label": "labeL"}, extra={name: "y"})
    found = read(extra={"Label": "y"}, columns={"label": "Label"})
    assert {clip.label for clip in found.recordings} == {"y"}


def test_blank_lines_and_rows_are_no_clips(read, tmp_path):
    expected = read()
    path = tmp_path / "manifest.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join(["", " ", ",,,", head, "", *rows, ",,,,,", " , ,", ""]))
    assert Manifest(str(tmp_path)).read() == expected
