"""Companion files, which systems leave beside media, are no part of a corpus."""

import numpy as np
import pytest
from conftest import write_manifest
from PIL import Image
from tiny_datasets import write_cifar10, write_mnist

from avfusion.corpora import Cifar10, Manifest, Mnist
from avfusion.corpora.media import is_companion
from avfusion.features.picture import read_frame_folder
from avfusion.preparation.prepare import compute_key


@pytest.mark.parametrize(
    "name", ["._a.png", ".DS_Store", ".a", "Thumbs.db", "DESKTOP.INI", "@eaDir", "__MACOSX", "~$a"]
)
def test_what_systems_leave_is_a_companion(name):
    assert is_companion(name)


@pytest.mark.parametrize("name", ["a.png", "_a.png", "thumbs", "Thumbs.db.png", "$a", "@a", "a~"])
def test_what_a_person_named_is_none(name):
    assert not is_companion(name)


@pytest.fixture
def frames(tmp_path):
    """A folder of four frames, of 50, 60, 70 and 80 levels of gray."""
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (8, 8), (50 + 10 * number,) * 3).save(folder / f"frame_{number}.png")
    return folder


def companions(folder):
    for name in ("._frame_0.png", "._frame_3.png", ".z.png", "Thumbs.db", "@eaDir"):
        (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n")


def test_companions_are_no_frames_of_a_folder(frames):
    companions(frames)
    shown = read_frame_folder(frames, [0.0, 0.25, 0.5, 0.75, 0.99])
    assert [int(np.mean(picture)) for picture in shown.pictures] == [50, 60, 70, 80, 80]


def test_companions_do_not_make_another_store(frames, small_features):
    row = {"clip_id": "a", "image_path": "frames", "label": "x", "subject": "s", "split": "test"}
    write_manifest(frames.parent, [row])
    corpus = Manifest(str(frames.parent))
    stores = []
    for change in (lambda: None, lambda: companions(frames), (frames / "frame_3.png").unlink):
        change()
        stores.append(compute_key(corpus, corpus.read(), small_features))
    assert stores[0] == stores[1] != stores[2]


@pytest.mark.parametrize(("corpus", "write"), [(Cifar10, write_cifar10), (Mnist, write_mnist)])
def test_companions_beside_official_files_change_nothing(tmp_path, corpus, write):
    write(tmp_path)
    before = corpus(str(tmp_path)).read()
    for file in [path for path in tmp_path.rglob("*") if path.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")
        (file.parent / "Thumbs.db").touch()
    assert corpus(str(tmp_path)).read() == before
