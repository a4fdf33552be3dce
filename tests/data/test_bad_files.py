"""Broken and odd files from real corpora: each has an outcome and a reason."""

import csv

import pytest
from conftest import SHARED, write_manifest

from avfusion.corpora import Manifest
from avfusion.data.store import Store
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies
from avfusion.preparation.prepare import find_split_faults, prepare

BAD = SHARED / "bad"
pytestmark = pytest.mark.skipif(
    not BAD.is_dir(), reason=f"no broken files in {BAD}: set AVFUSION_SHARED to what has them"
)
# A reason for which the file is skipped, or a note with which it is kept.
OUTCOMES = {
    "audio/silent_digital.wav": "silent",
    "audio/real_very_quiet_peak0.008.wav": "",
    "audio/zero_length.wav": "empty file",
    "audio/truncated_half.wav": "damaged",  # 2.1 of 3.7 s are there: only its header is half of it
    "audio/real_stereo_48k.wav": "",
    "audio/pcm_u8_8k.wav": "",
    "audio/float32_nan_inf.wav": "samples that are not finite",
    "audio/very_short_8ms.wav": "",
    "audio/lfs_pointer.wav": "git-LFS pointer, run git lfs pull",
    "video/good_reference.mp4": "",
    "video/real_no_audio_stream.mp4": "no sound",
    "video/audio_only.mp4": "no picture",
    "video/truncated_no_moov.mp4": "cannot be decoded",
    "video/one_frame.mp4": "",
    "video/variable_frame_rate.mp4": "",
    "video/real_flv_vp6_no_frame_count.flv": "",
    "video/real_no_face.mp4": "no face found, picture used whole",
    "image/gray_L.jpg": "",
    "image/rgba.png": "",
    "image/cmyk.jpg": "",
    "image/exif_rot6.jpg": "",
    "image/truncated.jpg": "truncated",
    "image/real_webp_named.jpg": "",
}
WHOLE = {"", "no face found, picture used whole"}
KEPT = WHOLE | {"damaged"}


def row(name):
    columns = dict.fromkeys(("video_path", "image_path", "audio_path"), "")
    if name.startswith("video"):
        columns["video_path"] = name
    elif name.startswith("image"):
        columns |= {"image_path": name, "audio_path": "audio/pcm_u8_8k.wav"}
    else:
        columns |= {"image_path": "image/gray_L.jpg", "audio_path": name}
    return columns | {"clip_id": name, "label": "any", "subject": "s", "split": "test"}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What became of each file, and the store of those that were kept."""
    folder = tmp_path_factory.mktemp("bad")
    manifest = write_manifest(folder, [row(name) for name in OUTCOMES])
    face = FaceFeatures(detector="haar", size=32)
    corpus = Manifest(str(manifest), media_root=str(BAD), allow_two_labels_for_one_recording=True)
    store = prepare(corpus, Features(face, AudioFeatures(), Policies()), folder / "stores")
    with (store / "report.csv").open(newline="", encoding="utf-8") as file:
        return {line["clip_id"]: line for line in csv.DictReader(file)}, Store(store)


@pytest.mark.slow
@pytest.mark.parametrize("name", OUTCOMES)
def test_a_file_is_kept_or_skipped_with_its_reason(report, name):
    lines, store = report
    reason = lines[name]["reason"].partition(":")[0]
    if name.startswith("image") and OUTCOMES[name] == "":
        assert reason in WHOLE  # whether there is a face depends on the picture
    else:
        assert reason in {OUTCOMES[name], *(WHOLE if name.startswith("audio") else ())}
    kept = name in store.texts("clip_id")
    assert kept == (OUTCOMES[name] in KEPT) == (lines[name]["outcome"] == "kept")
    assert kept or name.split("/")[1] in lines[name]["detail"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("duplicate_ids", r"'a' stands in lines 2 and 4"),
        ("header_only", r"no clips below its header"),
        ("label_typos", r"Line 7 .* empty label"),
        ("missing_files", r"1 of the 2 files .* missing: .*nope\.mp4"),
        ("label_typos", r"'hapy' \(1 clip\), .* classes \['angry'\].*See lines 4, 5, 6, 8\."),
    ],
)
def test_a_bad_manifest_is_refused_in_one_sentence(name, sentence):
    path = BAD / "manifest" / f"{name}.csv"
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        Manifest(str(path), columns={"subject": "speaker"}, on_error="raise").read()


def test_people_in_two_splits_are_told_before_anything_is_decoded():
    path = BAD / "manifest" / "speaker_leak.csv"
    contents = Manifest(
        str(path), columns={"subject": "speaker"}, classes=["happy", "sad", "angry"]
    ).read()
    fault, other = find_split_faults(contents, [])
    assert "of classes: happy" in other
    assert fault.startswith("2 subjects are in more than one split (s1, s2)")
