"""Claims about printed predictions, and the names of their files."""

import re
from dataclasses import replace

import pytest
import torch
from conftest import clip_record, single_label

from avfusion.data.index import Window
from avfusion.evaluation.file_names import name_files
from avfusion.evaluation.inference import ClipPrediction
from avfusion.evaluation.prediction_files import group_by_recording
from avfusion.evaluation.prediction_table import MAX_ROWS, format_predictions
from avfusion.files import MAX_NAME_BYTES
from avfusion.targets import MultiLabel

EMOTION = single_label("angry", "happy", "sad")


def prediction(name, *probabilities, label="", note="", start=None):
    clip = clip_record(name, label=label)
    if start is not None:
        clip = replace(clip, clip_id=f"{name} @ {start:.2f} s", window=Window(start, start + 2))
    return ClipPrediction(
        clip, 0, torch.tensor(probabilities) if probabilities else None, note=note
    )


def lines_of(predictions, target=EMOTION):
    text = format_predictions(*group_by_recording(predictions), target)
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]


def test_each_recording_has_a_line_with_the_likeliest_class_and_how_sure_that_is():
    predictions = [
        prediction("in/a.mp4", 0.1, 0.7, 0.2),
        prediction("in/deep/b.wav", 0.5, 0.1, 0.4),
    ]
    assert lines_of(predictions) == [
        ["recording", "predicted", "probability", "next likely"],
        ["a.mp4", "happy", "0.70", "sad 0.20"],
        ["deep/b.wav", "angry", "0.50", "sad 0.40"],
    ]


def test_labels_and_reasons_for_missing_predictions_are_shown_where_they_are_known():
    predictions = [
        prediction("a", 0.1, 0.7, 0.2, label="sad"),
        prediction("b", label="happy", note="no prediction: silent, no picture"),
    ]
    assert lines_of(predictions) == [
        ["recording", "true", "predicted", "probability", "next likely", "note"],
        ["a", "sad", "happy", "0.70", "sad 0.20"],
        ["b", "happy", "-", "-", "-", "no prediction: silent, no picture"],
    ]


def test_multi_label_predictions_list_each_class_with_its_probability_or_none():
    predictions = [prediction("a", 0.9, 0.2, 0.75), prediction("b", 0.1, 0.45, 0.3)]
    assert lines_of(predictions, MultiLabel({"output_names": EMOTION.output_names})) == [
        ["recording", "predicted", "probability"],
        ["a", "angry|sad", "0.90 | 0.75"],
        ["b", "none", "0.45 happy"],
    ]


def test_a_recording_that_was_cut_has_its_mean_and_a_line_per_segment():
    happy, sad = (0.1, 0.7, 0.2), (0.1, 0.1, 0.8)
    windows = [happy, happy, sad, (), sad]
    predictions = [
        prediction("talk.mp4", *given, start=float(n)) for n, given in enumerate(windows)
    ]
    _, mean, *segments = lines_of(predictions)
    assert mean == ["talk.mp4", "sad", "0.50", "happy 0.40", "mean of 4 of 5 windows"]
    assert segments == [
        ["0.0 to 2.5 s: happy"],
        ["2.5 to 3.5 s: sad"],
        ["3.5 to 4.5 s: -"],
        ["4.5 to 6.0 s: sad"],
    ]


@pytest.mark.parametrize(("more", "line"), [(0, None), (1, "1 more recording"), (1500, "1,500")])
def test_many_recordings_are_counted_once_the_first_are_shown(more, line):
    predictions = [prediction(f"clip_{n}.wav", 0.2, 0.3, 0.5) for n in range(MAX_ROWS + more)]
    lines = format_predictions(predictions, {}, EMOTION).splitlines()
    assert len(lines) == 1 + MAX_ROWS + bool(more)
    assert lines[MAX_ROWS].startswith(f"clip_{MAX_ROWS - 1}.wav")
    assert line is None or lines[-1].startswith(f"... and {line}")


def test_a_long_name_is_not_cut():
    name = "x" * 300 + ".mp4"
    assert name in format_predictions([prediction(f"/in/{name}", 0.2, 0.3, 0.5)], {}, EMOTION)


@pytest.mark.parametrize(
    ("clip_ids", "names"),
    [
        (["in/Anna.mp4", "other/anna.wav", "in/Anna.mp4 (2)"], ["Anna", "anna_2", "Anna_3"]),
        (["a.mp4", "a_2.mp4", "b/a.mkv"], ["a", "a_2", "a_3"]),
        (["talk/show.mp4 @ 2.25 s", "talk/show.mp4 @ 3.00 s"],
         ["show_at_2.25s", "show_at_3.00s"]),
        (["s1.2", "s1.3"], ["s1.2", "s1.3"]),
        (["a b:c?*\"<>|.mp4", "$(rm).png"], ["a_b_c", "rm"]),
        (["frames/", "C:\\x\\y.avi", ".mp4", ""], ["frames", "y", "mp4", "clip"]),
        (["é.mp4", "日本.wav"], ["é", "日本"]),
        ([r"in/caf\udce9.mp4", r"in\th\udce9.mp4"], ["caf_udce9", "th_udce9"]),
    ],
)  # fmt: skip
def test_files_are_named_by_the_stem_of_the_recording(clip_ids, names):
    assert name_files(clip_ids) == names


def test_names_of_files_are_unique_short_and_safe_whatever_they_stand_for():
    stems = ("x" * 400, "日本" * 50, "é" + "語" * 99, "..", "-", "A", "a")
    clip_ids = [f"{folder}/{stem}" for folder in "ab" for stem in stems]
    names = name_files(clip_ids)
    assert names[1:3] == ["日本" * 25, "é" + "語" * 49]  # 150 bytes, and 149 of 150
    assert len({name.casefold() for name in names}) == len(clip_ids)
    assert all(re.fullmatch(r"\w[\w.-]*", name) for name in names)
    assert max(len(name.encode()) for name in names) <= MAX_NAME_BYTES + 2


def name_by_counting_anew(stems):
    """Name as ``name_files`` does, each time counting from two."""
    taken, names = set(), []
    for stem in stems:
        tried = [stem, *(f"{stem}_{number}" for number in range(2, len(stems) + 2))]
        names.append(next(name for name in tried if name.casefold() not in taken))
        taken.add(names[-1].casefold())
    return names


@pytest.mark.slow
def test_equal_stems_are_numbered_on_whatever_names_lie_between():
    stems = ["a", "A", "a_2", "a_3", "a", "a_2", "b", "a_2_2", "A_2", "a", "ß", "ss", "a_4"] * 3
    assert name_files([f"{stem}.wav" for stem in stems]) == name_by_counting_anew(stems)
    many = name_files([f"id{n}/00001.wav" for n in range(100_000)])
    assert many == ["00001", *(f"00001_{n}" for n in range(2, 100_001))]
