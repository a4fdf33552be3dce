"""Image archives: read as they were written, without running their pickles, and downloaded."""

import gzip
import os
import pickle
import pickletools
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
from tiny_datasets import BATCHES, encode_idx, python2_pickle, write_cifar10, write_mnist

from avfusion.corpora import Cifar10, Mnist, Recording
from avfusion.corpora.image_archives import (
    draw_validation,
    read_archived_picture,
    read_cifar_batch,
    read_idx,
)


def fake_torchvision(download):
    return SimpleNamespace(datasets=SimpleNamespace(CIFAR10=download, MNIST=download))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def fails(root, download):
        raise URLError("no network")

    monkeypatch.setitem(sys.modules, "torchvision", fake_torchvision(fails))


def test_the_batches_of_these_tests_are_pickles_of_python_2():
    content = python2_pickle(np.zeros((2, 3072), np.uint8), [0, 1])
    names = {argument for code, argument, _ in pickletools.genops(content) if code.name == "GLOBAL"}
    assert names == {"numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype"}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_batch_of_python_3_is_read_alike(tmp_path, protocol):
    data = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps({"data": data, "labels": [1, 2, 3]}, protocol))
    pictures, labels = read_cifar_batch(path)
    assert labels == [1, 2, 3]
    for clip, row, column, channel in np.ndindex(3, 2, 2, 3):  # the upper left of each
        assert (
            pictures[clip, row, column, channel] == data[clip, channel * 1024 + row * 32 + column]
        )


def test_a_batch_that_calls_something_is_refused_and_nothing_is_called(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "written"), "w"))

    path = tmp_path / "data_batch_1"
    path.write_bytes(pickle.dumps({"data": Evil(), "labels": []}, 2))
    with pytest.raises(ValueError, match=r"no batch of CIFAR-10 \(it calls .*open\)"):
        read_cifar_batch(path)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("cut", [0, 3, 100, 3000])
def test_a_batch_that_is_cut_off_is_refused(tmp_path, cut):
    path = tmp_path / "data_batch_1"
    path.write_bytes(python2_pickle(np.zeros((2, 3072), np.uint8), [0, 1])[:cut])
    with pytest.raises(ValueError, match="unpack cifar-10-python"):
        read_cifar_batch(path)


def test_a_batch_with_other_numbers_of_labels_and_pictures_is_refused(tmp_path):
    path = tmp_path / "data_batch_1"
    path.write_bytes(python2_pickle(np.zeros((2, 3072), np.uint8), [0]))
    with pytest.raises(ValueError, match="1 labels, 2 pictures"):
        read_cifar_batch(path)


def test_an_idx_file_is_its_array_compressed_or_not(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "plain").write_bytes(encode_idx(array))
    (tmp_path / "packed").write_bytes(gzip.compress(encode_idx(array)))
    for name in ("plain", "packed"):
        assert np.array_equal(read_idx(tmp_path / name, axes=3), array)


@pytest.mark.parametrize("content", [b"", b"\x00\x00\x08\x03", encode_idx(np.zeros(4, np.uint8))])
def test_what_is_no_idx_file_of_pictures_is_refused(tmp_path, content):
    for name, written in (("plain", content), ("packed", gzip.compress(content)[:-2])):
        (tmp_path / name).write_bytes(written)
        with pytest.raises(ValueError, match="is no IDX file of bytes with 3 axes"):
            read_idx(tmp_path / name, axes=3)


def test_one_picture_is_read_in_color(tmp_path):
    written, gray = write_cifar10(tmp_path / "color"), write_mnist(tmp_path / "gray")
    path = tmp_path / "color" / "cifar-10-batches-py" / "data_batch_2"
    expected = written["data_batch_2"][0][7]
    assert np.array_equal(np.moveaxis(read_archived_picture(path, 7), -1, 0), expected)
    path = tmp_path / "gray" / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    picture = read_archived_picture(path, 5)
    assert all(np.array_equal(picture[:, :, channel], gray["t10k"][0][5]) for channel in range(3))


@pytest.mark.parametrize(("part", "expected"), [(0.25, 10), (0.001, 1), (0.999, 39)])
def test_validation_is_a_part_of_the_training_pictures_that_the_seed_draws(part, expected):
    training = [Recording(str(number), "a", "", "train") for number in range(40)]
    drawn = [draw_validation(training, part, seed) for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1]
    assert [clip.clip_id for clip in drawn[0]] == [clip.clip_id for clip in training]
    assert Counter(clip.split for clip in drawn[2])["val"] == expected
    if expected == 10:
        assert drawn[0] != drawn[2]


@pytest.mark.parametrize("corpus", [Cifar10, Mnist])
@pytest.mark.parametrize(
    ("key", "value"), [("validation", 0), ("validation", 1), ("split_seed", -1)]
)
def test_parts_and_seeds_that_cannot_be_are_refused(corpus, key, value, tmp_path):
    with pytest.raises(ValueError, match=rf"corpus\.{key} must .* got {value}"):
        corpus(str(tmp_path), **{key: value})


@pytest.mark.parametrize(("corpus", "name"), [(Cifar10, "CIFAR10"), (Mnist, "MNIST")])
def test_without_files_and_network_one_sentence_says_how_they_come_there(corpus, name, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"No {name} in .*no network.*data\.root=") as said:
        corpus(str(tmp_path / "nothing")).read()
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("corpus", [Cifar10, Mnist])
def test_without_files_and_torchvision_one_sentence_says_what_to_install(
    corpus, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ValueError, match=r"needs torchvision: pip install -e '.\[encoders\]', or"):
        corpus(str(tmp_path)).read()


ARCHIVES = [(Cifar10, write_cifar10), (Mnist, write_mnist)]


def list_paths(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("there", ["", "root", "root/MNIST/raw", "root/cifar-10-batches-py"])
@pytest.mark.parametrize(("corpus", "write"), ARCHIVES)
def test_files_that_are_not_there_are_downloaded_once_and_alone(
    corpus, write, there, tmp_path, monkeypatch
):
    asked = []

    def downloads(root, download):
        asked.append(root)
        write(Path(root))

    monkeypatch.setitem(sys.modules, "torchvision", fake_torchvision(downloads))
    write(tmp_path / "expected")
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    first = corpus(str(tmp_path / "root")).read()
    assert corpus(str(tmp_path / "root")).read() == first and len(asked) == 1
    found = {*list_paths(tmp_path)} - {*list_paths(tmp_path / there)} - {there}
    for path in (tmp_path / "expected").rglob("*"):
        copy = tmp_path / "root" / path.relative_to(tmp_path / "expected")
        assert copy.exists() and (path.is_dir() or copy.read_bytes() == path.read_bytes())
    assert not [name for name in found if "lock" in name or "partial" in name]


def write_half(write, root):
    """Write a data set half: some files, one of them cut, and an archive that is not whole."""
    write(root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:100])
    (root / "cifar-10-python.tar.gz").write_bytes(b"\x1f\x8b half")


FAILURES = [
    URLError("no network"),
    RuntimeError("File not found or corrupted.\nTried a mirror"),
    ConnectionResetError(104, "Connection reset by peer"),
    OSError(28, "No space left on device"),
    EOFError("Compressed file ended"),
    KeyboardInterrupt(),
    SystemExit(1),
]


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: type(failure).__name__)
@pytest.mark.parametrize("root", ["root", "deeper/within/root"])
@pytest.mark.parametrize(("corpus", "write"), ARCHIVES)
def test_a_download_that_fails_leaves_nothing_behind(
    corpus, write, root, failure, tmp_path, monkeypatch
):
    def fails(root, download):
        write_half(write, Path(root))
        raise failure

    monkeypatch.setitem(sys.modules, "torchvision", fake_torchvision(fails))
    expected = FileNotFoundError if isinstance(failure, Exception) else type(failure)
    with pytest.raises(expected) as refused:
        corpus(str(tmp_path / root)).read()
    if expected is FileNotFoundError:
        assert "cannot be downloaded (" in str(refused.value) and "\n" not in str(refused.value)
    assert list_paths(tmp_path) == []


def test_what_was_there_before_a_download_that_fails_stays(tmp_path, monkeypatch):
    def fails(root, download):
        assert (Path(root) / "cifar-10-python.tar.gz").read_bytes() == b"an archive"
        write_half(write_cifar10, Path(root))
        raise RuntimeError("corrupted")

    monkeypatch.setitem(sys.modules, "torchvision", fake_torchvision(fails))
    (tmp_path / "notes").mkdir()
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"an archive")
    before = list_paths(tmp_path)
    with pytest.raises(FileNotFoundError, match="corrupted"):
        Cifar10(str(tmp_path)).read()
    assert list_paths(tmp_path) == before
    assert (tmp_path / "cifar-10-python.tar.gz").read_bytes() == b"an archive"


KILLED = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from tiny_datasets import write_cifar10
from test_image_archives import write_half

def killed(root, download):
    write_half(write_cifar10, Path(root))
    os.kill(os.getpid(), signal.SIGKILL)

sys.modules["torchvision"] = SimpleNamespace(datasets=SimpleNamespace(CIFAR10=killed))
from avfusion.corpora import Cifar10
Cifar10(sys.argv[1]).read()
"""


@pytest.mark.parametrize("there", [False, True])
def test_after_a_download_that_was_killed_the_next_one_starts_anew(tmp_path, monkeypatch, there):
    root = tmp_path / "root"
    if there:
        root.mkdir()
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    command = [sys.executable, "-c", KILLED, str(root)]
    assert subprocess.run(command, env=environment).returncode == -signal.SIGKILL
    monkeypatch.setitem(
        sys.modules, "torchvision", fake_torchvision(lambda root, download: download_whole(root))
    )
    assert len(Cifar10(str(root)).read().recordings) == 60
    assert list_paths(tmp_path) == sorted(
        ["root", "root/cifar-10-batches-py", *(f"root/cifar-10-batches-py/{b}" for b in BATCHES)]
    )


def download_whole(root):
    assert list_paths(Path(root)) == []
    write_cifar10(Path(root))


@pytest.mark.parametrize(("corpus", "write"), [(Cifar10, write_cifar10), (Mnist, write_mnist)])
def test_a_folder_that_lacks_a_file_names_it(corpus, write, tmp_path):
    write(tmp_path)
    victim = sorted(path for path in tmp_path.rglob("*") if path.is_file())[-1]
    victim.unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {victim.name}: put the file there"):
        corpus(str(tmp_path)).read()
