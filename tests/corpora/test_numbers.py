"""Manifests with numbers to predict, and the errors that they may have."""

import pytest

from avfusion.corpora import Manifest
from avfusion.corpora.labels import split_label
from avfusion.corpora.numbers import format_label

HEAD = "clip_id,audio_path,subject,split"


@pytest.fixture
def write(tmp_path):
    """Write a manifest with more columns, one row of cells for each clip."""
    (tmp_path / "a.wav").touch()

    def write(columns: str, *cells: str, **options) -> Manifest:
        rows = [f"c{n},a.wav,s{n},{('train', 'val')[n > 0]},{some}" for n, some in enumerate(cells)]
        (tmp_path / "manifest.csv").write_text("\n".join([f"{HEAD},{columns}", *rows]))
        return Manifest(str(tmp_path), **options)

    return write


def labels(manifest: Manifest) -> list[dict[str, float]]:
    clips = manifest.read().recordings
    return [dict(zip(split_label(clip.label), clip.numbers, strict=True)) for clip in clips]


def test_a_table_without_labels_has_the_numbers_of_all_its_target_columns(write):
    manifest = write("target.valence,Target.Arousal", "0.25,-1", ",1e-3", "3,")
    contents = manifest.read()
    assert contents.labels == "continuous" and contents.output_names == ["valence", "Arousal"]
    assert labels(manifest) == [
        {"valence": 0.25, "Arousal": -1.0},
        {"Arousal": 0.001},
        {"valence": 3.0},
    ]


def test_of_a_table_with_labels_and_numbers_the_labels_count_unless_numbers_are_named(write):
    table = ("label,target.arousal,EmoVal", "happy,0.5,4", "happy,0.25,2")
    assert write(*table).read().output_names == ["happy"]
    one = write(*table, targets=["arousal"])
    assert one.read().output_names == ["arousal"]
    assert labels(one) == [{"arousal": 0.5}, {"arousal": 0.25}]
    other = write(*table, targets={"valence": "EmoVal", "arousal": "target.arousal"})
    assert other.read().output_names == ["valence", "arousal"]
    assert labels(other)[0] == {"valence": 4.0, "arousal": 0.5}


def test_a_label_is_written_with_every_digit_of_its_numbers():
    label = format_label("valence|arousal", [0.1 + 0.2, -1e-9])
    assert label == "arousal=-1e-09|valence=0.30000000000000004"
    assert format_label("happy|a=b", []) == "happy|a=b" and format_label("", []) == ""


def test_errors_of_numbers_are_named_with_lines_and_fixes(write):
    cells = ("0.5,1", "high,1", "nan,1", "1.5,1", ",", "-3,0,5")
    with pytest.raises(ValueError) as error:
        write("target.arousal,target.valence", *cells, ranges={"arousal": [-1, 1]}).read()
    message = str(error.value)
    assert "has 5 errors" in message or "has 6 errors" in message
    assert "Line 3 of" in message and "has the arousal 'high', which is none" in message
    assert "Also line 4 has the arousal 'nan'" in message
    assert "Line 5 of" in message and "has the arousal 1.5, not from -1 to 1" in message
    assert "set corpus.ranges.arousal=[<lowest>, <highest>]" in message
    assert "Line 6 of" in message and "has no arousal and no valence" in message
    assert "line 7 has the arousal -3, not from -1 to 1" in message


def test_a_named_number_without_a_column_is_refused(write):
    with pytest.raises(ValueError, match=r"has no column target\.valence, it has .*arousal"):
        write("target.arousal", "1", targets=["arousal", "valence"]).read()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"targets": ["a", "A"]}, r"corpus\.targets names a twice"),
        ({"ranges": {"a": [1, -1]}}, r"corpus\.ranges\.a must be .*got \[1, -1\]"),
        ({"ranges": {"a": [1]}}, r"corpus\.ranges\.a must be .*got \[1\]"),
        ({"ranges": {"other": [0, 1]}}, r"corpus\.ranges has other, .*numbers are a"),
        ({"targets": ["a=b"]}, r"The target 'a=b' needs another name"),
    ],
)
def test_bad_options_are_refused_with_their_value(write, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        write("target.a", "1", **options).read()


def test_ranges_of_a_table_with_labels_are_refused(write):
    with pytest.raises(
        ValueError, match=r"given for a, and clips of .* have labels: name .*target"
    ):
        write("label", "happy", ranges={"a": [0, 1]}).read()
