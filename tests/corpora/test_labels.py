"""Labels that name one class, or several."""

import pytest
from conftest import write_manifest, write_picture

from avfusion.corpora import Manifest
from avfusion.corpora.labels import split_label


@pytest.fixture
def read(tmp_path):
    """Read a manifest with these labels; the first two clips are to be trained on."""

    def read(*labels: str, **options):
        rows = []
        for number, label in enumerate(labels):
            write_picture(tmp_path / f"{number}.png", (number, 100, 100))
            row = {"clip_id": str(number), "image_path": f"{number}.png", "label": label}
            split = ("train", "train", "val", "test")[number % 4]
            rows.append(row | {"subject": f"s{number}", "split": split})
        write_manifest(tmp_path, rows)
        return Manifest(str(tmp_path), **options).read()

    return read


def labels(contents) -> list[str]:
    return [clip.label for clip in contents.recordings]


def test_one_label_of_several_classes_makes_the_data_multi_label(read):
    found = read("sad", "angry|sad", "sad", "angry")
    assert (found.labels, found.output_names) == ("multi_label", ["angry", "sad"])
    assert split_label(labels(found)[1]) == ["angry", "sad"]


def test_labels_of_one_class_are_multi_label_only_if_it_is_said(read):
    assert read("sad", "angry", "sad", "angry").labels == "single_label"
    assert read("sad", "angry", "sad", "angry", multilabel=True).labels == "multi_label"


def test_a_line_is_part_of_a_name_where_it_is_said_that_labels_name_one_class(read):
    found = read("a|b", "b|a", "a|b", "b|a", multilabel=False)
    assert (found.labels, found.output_names) == ("single_label", ["a|b", "b|a"])


def test_order_and_blanks_do_not_tell_labels_apart(read):
    assert labels(read("b|a", " a| b ", "a", "b")) == ["a|b", "a|b", "a", "b"]


@pytest.mark.parametrize("label", ["a|", "|a", "a||b", " | ", "|"])
def test_an_empty_class_is_refused_with_its_line_and_the_cure(read, label):
    with pytest.raises(ValueError, match=r"Line 3 of .* with an empty class: .* such as none"):
        read("a|b", label)


def test_an_empty_label_is_refused_in_multi_label_data_too(read):
    with pytest.raises(ValueError, match=r"Line 3 of .* has an empty label"):
        read("a|b", "", multilabel=True)


def test_a_class_that_is_named_twice_is_refused_with_its_line(read):
    with pytest.raises(ValueError, match=r"Line 2 of .*'b\|a\|b', which names b twice"):
        read("b|a|b", "a")


def test_a_class_beyond_those_that_are_set_or_trained_is_refused(read):
    with pytest.raises(ValueError, match=r"'c' \(1 clip\) is not among the classes \['a', 'b'\]"):
        read("a|b", "a", "a|c", "b")
    with pytest.raises(ValueError, match=r"'b' \(2 clips\) is not among the classes \['a'\]"):
        read("a|b", "a", "a", "b", classes=["a"])


def test_the_classes_that_are_set_keep_their_order(read):
    assert read("a|b", "a", classes=["b", "c", "a"]).output_names == ["b", "c", "a"]
