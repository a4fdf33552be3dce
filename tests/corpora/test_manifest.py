"""Manifests: rows become recordings, and what is wrong is named with its line."""

import pytest
from conftest import write_manifest

from avfusion.corpora import Box, Manifest


def rows(count=4, **changed):
    """Rows of a manifest, with changes that are values or functions of the row's number."""
    table = []
    for number in range(count):
        row = {
            "clip_id": f"c{number}",
            "image_path": "a.png",
            "audio_path": "a.wav",
            "label": ("low", "high")[number % 2],
            "subject": f"s{number}",
            "split": ("train", "train", "val", "test")[number % 4],
        }
        for column, value in changed.items():
            row[column] = value(number) if callable(value) else value
        table.append(row)
    return table


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that the rows name; reading opens none of them."""
    for name in ("a.png", "a.wav", "a.mp4"):
        (tmp_path / name).touch()
    return tmp_path


def read(folder, table, **options):
    write_manifest(folder, table)
    return Manifest(str(folder), **options).read()


def assert_error(folder, table, sentence, **options):
    write_manifest(folder, table)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence) as refusal:
        Manifest(str(folder), **options).read()
    assert "\n" not in str(refusal.value)


def test_every_row_becomes_a_recording(folder):
    recordings = read(folder, rows()).recordings
    assert [clip.clip_id for clip in recordings] == ["c0", "c1", "c2", "c3"]
    assert [clip.label for clip in recordings] == ["low", "high", "low", "high"]
    assert [clip.subject for clip in recordings] == ["s0", "s1", "s2", "s3"]
    assert [clip.split for clip in recordings] == ["train", "train", "val", "test"]
    assert recordings[0].sources == [folder / "a.png", folder / "a.wav"]


def test_the_root_may_be_the_path_of_a_csv(folder):
    path = write_manifest(folder, rows()).rename(folder / "others.csv")
    corpus = Manifest(str(path))
    assert corpus.name == "others" and len(corpus.read().recordings) == 4


def test_a_missing_manifest_says_what_to_set(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere", tmp_path / "none.csv"):
        with pytest.raises(FileNotFoundError, match=rf"{root}.*set corpus\.root"):
            Manifest(str(root))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", r"manifest\.csv is empty: give it a header"),
        ("clip_id,label,subject,split\n", r"manifest\.csv has no clips below its header"),
        ("\n\n", r"manifest\.csv is empty"),
    ],
)
def test_a_manifest_without_clips_is_refused(tmp_path, text, sentence):
    (tmp_path / "manifest.csv").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        Manifest(str(tmp_path)).read()


def test_a_byte_order_mark_is_no_part_of_the_first_column(folder):
    path = write_manifest(folder, rows())
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert len(Manifest(str(folder)).read().recordings) == 4


def test_another_encoding_is_refused_with_the_file_and_the_cure(folder):
    path = write_manifest(folder, rows(label="fröhlich"))
    path.write_text(path.read_text(encoding="utf-8"), encoding="latin-1")
    with pytest.raises(ValueError, match=rf"{path} is no CSV in UTF-8 .*: save it so"):
        Manifest(str(folder)).read()


def test_a_duplicate_clip_id_is_refused_with_both_lines(folder):
    double = rows(clip_id=lambda number: ("a", "b", "c", "b")[number])
    assert_error(folder, double, r"'b' stands in lines 3 and 5 .*: give each clip an id")


@pytest.mark.parametrize("column", ["clip_id", "label", "subject"])
def test_an_empty_cell_is_refused_with_its_line(folder, column):
    empty = rows(**{column: lambda number: " " if number == 2 else f"x{number}"})
    assert_error(folder, empty, f"Line 4 of .* has an empty {column}")


def test_cells_are_read_without_the_blanks_around_them(folder):
    found = read(folder, rows(label=" low ", split=lambda n: " train" if n else "test "))
    assert found.output_names == ["low"]
    assert {clip.split for clip in found.recordings} == {"train", "test"}


@pytest.mark.parametrize("column", ["clip_id", "label", "subject"])
def test_a_missing_column_is_named_beside_those_that_are_there(folder, column):
    table = [{k: v for k, v in row.items() if k != column} for row in rows()]
    assert_error(
        folder,
        table,
        rf"no column {column}, it has .*image_path.*: name yours as in corpus\.columns",
    )


def test_a_corpus_may_have_sessions_and_no_splits(folder):
    table = [{k: v for k, v in row.items() if k != "split"} for row in rows(session="x")]
    found = read(folder, table).recordings
    assert [(clip.split, clip.session) for clip in found] == [("", "x")] * 4
    assert {clip.session for clip in read(folder, rows()).recordings} == {""}
    assert read(folder, rows(split="")).output_names == ["high", "low"]


def test_columns_may_have_other_names(folder):
    table = [{("speaker" if k == "subject" else k): v for k, v in row.items()} for row in rows()]
    found = read(folder, table, columns={"subject": "speaker"})
    assert [clip.subject for clip in found.recordings] == ["s0", "s1", "s2", "s3"]
    assert_error(folder, rows(), "no column speaker", columns={"subject": "speaker"})


def test_missing_files_are_all_counted_and_ten_of_them_shown(folder):
    table = rows(30, image_path=lambda number: f"{number}.png" if number < 25 else "a.png")
    sentence = r"25 of the 60 files of .* are missing: .*0\.png.* and 15 more\. Paths"
    assert_error(folder, table, sentence, on_error="raise")
    with pytest.raises(FileNotFoundError, match=r"25 of 30 clips .* corpus\.media_root") as refusal:
        Manifest(str(folder), on_error="raise").read()
    assert str(refusal.value).count(".png") == 10


def test_a_row_without_picture_and_sound_is_refused_with_its_line(folder):
    columns = dict.fromkeys(["image_path", "audio_path"], lambda n: "" if n == 1 else "a.png")
    assert_error(
        folder, rows(**columns), "Line 3 of .* names neither a video_path nor an image_path"
    )


@pytest.mark.parametrize("lacking", ["image_path", "audio_path"])
def test_a_row_may_lack_one_of_them(folder, lacking):
    recordings = read(folder, rows(**{lacking: lambda n: "" if n == 1 else "a.png"})).recordings
    assert [len(recording.sources) for recording in recordings] == [2, 1, 2, 2]


def test_a_video_wins_over_picture_and_sound(folder):
    found = read(folder, rows(video_path="a.mp4")).recordings[0]
    assert found.sources == [folder / "a.mp4"] and found.image is None and found.audio is None


def test_a_folder_of_frames_is_an_image_path(folder):
    (folder / "frames").mkdir()
    found = read(folder, rows(image_path="frames")).recordings[0]
    assert found.image == folder / "frames"


def test_splits_of_other_names_and_of_none_beside_others_are_refused(folder):
    table = rows(split=lambda number: "all" if number else "train")
    assert_error(
        folder, table, r"must be train, val, test, got all \(3 clips\): correct the column"
    )
    table = rows(split=lambda number: ("all", "train", "", "all")[number])
    assert_error(folder, table, r"got all \(2 clips\), none \(1 clip\): correct")
    table = rows(split=lambda number: "train" if number else "")
    assert_error(
        folder, table, r"got none \(1 clip\): correct the column, or leave it out and choose"
    )


def test_classes_are_the_sorted_labels_of_the_training_split(folder):
    table = rows(8, label=lambda number: "bca"[number % 3], split="train")
    assert read(folder, table).output_names == ["a", "b", "c"]


def test_a_corpus_to_test_on_has_the_classes_of_all_its_clips(folder):
    assert read(folder, rows(split="test")).output_names == ["high", "low"]


def test_a_label_that_the_training_split_lacks_is_refused_and_without_splits_a_class(folder):
    table = rows(label=lambda number: "lowe" if number == 3 else "low")
    assert_error(folder, table, r"'lowe' \(1 clip\) is not among the classes \['low'\]: correct")
    assert read(folder, [row | {"split": ""} for row in table]).output_names == [
        "low",
        "lowe",
    ]


def test_given_classes_keep_their_order_and_refuse_others(folder):
    classes = ["neutral", "low", "high"]
    assert read(folder, rows(), classes=classes).output_names == classes
    assert_error(folder, rows(), r"'high' \(2 clips\) .*corpus\.classes", classes=["low"])


def test_boxes_are_read_where_they_are_given(folder):
    sides = ("box_left", "box_top", "box_right", "box_bottom")
    numbers = ("1.5", "2", "30", "40.25")
    columns = {
        side: (lambda number, value=value: value if number == 1 else "")
        for side, value in zip(sides, numbers, strict=True)
    }
    boxes = [clip.box for clip in read(folder, rows(**columns)).recordings]
    assert boxes == [None, Box(1.5, 2.0, 30.0, 40.25), None, None]


@pytest.mark.parametrize("box", ["1,2,3,x", "1,2,3,", ",2,3,4", "5,2,3,4", "1,4,3,4", "1,2,nan,4"])
def test_a_bad_box_is_refused_with_its_line(folder, box):
    sides = zip(("left", "top", "right", "bottom"), box.split(","), strict=True)
    table = rows(**{f"box_{side}": value for side, value in sides})
    assert_error(
        folder, table, "Line 2 of .* has the box .*: give left, top, right and bottom in pixels"
    )


def test_bad_options_are_refused_before_anything_is_read(folder):
    write_manifest(folder, rows())
    with pytest.raises(ValueError, match=r"corpus\.on_error"):
        Manifest(str(folder), on_error="ignore")


@pytest.mark.parametrize("name", ["../a.wav", "/etc/passwd", "b/../../a.wav", "..\\a.wav"])
def test_a_path_that_leads_out_of_the_folder_is_refused(folder, name):
    (folder.parent / "a.wav").touch()
    (folder / "b").mkdir()
    sentence = r"Line 3 of .*names .*, which is not in .*corpus.media_root"
    assert_error(folder, rows(audio_path=lambda n: name if n == 1 else "a.wav"), sentence)


@pytest.mark.parametrize("name", ["link.wav", "linked/a.wav", "frames"])
def test_links_that_lead_out_of_the_folder_are_refused(folder, name):
    outside = folder.parent / f"outside {folder.name}"
    (folder / "frames").mkdir()
    outside.mkdir()
    (outside / "a.wav").touch()
    (folder / "link.wav").symlink_to(outside / "a.wav")
    (folder / "linked").symlink_to(outside)
    (folder / "frames" / "0.png").symlink_to(outside / "a.wav")
    column = "image_path" if name == "frames" else "audio_path"
    assert_error(
        folder, rows(**{column: name}), r"Line 2 of .*names .*, which is not in .*media_root"
    )


def test_a_frame_may_be_a_link_within_the_folder(folder):
    (folder / "frames").mkdir()
    (folder / "frames" / "0.png").symlink_to(folder / "a.png")
    assert read(folder, rows(image_path="frames")).recordings[0].image == folder / "frames"


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b.wav"])
def test_a_name_that_no_file_can_have_is_refused_with_its_line(folder, name):
    path = write_manifest(folder, rows())
    path.write_text(path.read_text().replace("a.wav", name, 1))
    with pytest.raises((ValueError, FileNotFoundError), match=r"Line 2 of|are missing|no CSV"):
        Manifest(str(folder)).read()


def test_a_circle_of_links_is_no_path(folder):
    (folder / "one").symlink_to(folder / "two")
    (folder / "two").symlink_to(folder / "one")
    assert_error(folder, rows(audio_path="one"), "which is no path|are missing")


def test_an_unclosed_quote_swallows_no_clips(folder):
    path = write_manifest(folder, rows())
    path.write_text(path.read_text().replace("low", '"low', 1))
    with pytest.raises(ValueError, match=rf"{path} is no CSV"):
        Manifest(str(folder)).read()


def test_a_line_of_more_cells_than_the_header_is_refused_unless_they_are_empty(folder):
    path = write_manifest(folder, rows())
    text = path.read_text()
    path.write_text(text.replace("train\n", "train,,\n"))
    assert len(Manifest(str(folder)).read().recordings) == 4
    path.write_text(text.replace(",s1,", ",Smith, Ann,"))
    with pytest.raises(ValueError, match=r"Line 3 of .* has more cells than the header: put quot"):
        Manifest(str(folder)).read()


def test_a_duplicate_column_is_refused(folder):
    path = write_manifest(folder, rows())
    path.write_text(path.read_text().replace("subject", "label", 1))
    with pytest.raises(ValueError, match="has several columns label: leave one of each"):
        Manifest(str(folder)).read()


def test_a_name_may_hold_a_new_line(folder):
    (folder / "a\nb.wav").touch()
    found = read(folder, rows(audio_path="a\nb.wav")).recordings[0]
    assert found.audio == folder / "a\nb.wav"


def test_media_root_lets_media_lie_elsewhere(folder):
    (folder / "lists").mkdir()
    path = write_manifest(folder / "lists", rows())
    corpus = Manifest(str(path), media_root=str(folder))
    assert corpus.read().recordings[0].sources == [folder / "a.png", folder / "a.wav"]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_the_header_tells_the_delimiter(folder, delimiter):
    path = write_manifest(folder, rows())
    path.write_text(path.read_text().replace(",", delimiter), encoding="utf-8-sig")
    assert len(Manifest(str(folder)).read().recordings) == 4


def test_paths_as_windows_writes_them_are_found(folder):
    (folder / "b").mkdir()
    (folder / "b" / "a.wav").touch()
    recordings = read(folder, rows(audio_path="b\\a.wav")).recordings
    assert recordings[0].audio == folder / "b" / "a.wav"


def test_names_are_found_in_either_normal_form_and_not_confused_where_both_exist(folder):
    composed, decomposed = "\u00fc.wav", "u\u0308.wav"
    (folder / decomposed).touch()
    assert read(folder, rows(audio_path=composed)).recordings[0].audio.name == decomposed
    (folder / composed).touch()
    assert read(folder, rows(audio_path=composed)).recordings[0].audio.name == composed
    assert read(folder, rows(audio_path=decomposed)).recordings[0].audio.name == decomposed


def test_columns_of_attributes_say_what_else_is_known(tmp_path):
    rows = [
        {"clip_id": "a", "label": "x", "subject": "s", "audio_path": "a.wav"},
        {"clip_id": "b", "label": "y", "subject": "t", "audio_path": "a.wav"},
    ]
    (tmp_path / "a.wav").write_bytes(b"")
    rows[0] |= {"attribute.gender": "female", "Attribute.Level": "high", "attribute.": "none"}
    rows[1] |= {"attribute.gender": "", "Attribute.Level": "low", "attribute.": "none"}
    write_manifest(tmp_path, rows)
    clips = Manifest(str(tmp_path)).read().recordings
    assert clips[0].attributes == (("Level", "high"), ("gender", "female"))
    assert clips[1].attributes == (("Level", "low"),)
