"""MNIST: splits, labels and folders of the published files."""

from collections import Counter

import numpy as np
import pytest
from tiny_datasets import encode_idx, write_mnist

from avfusion.corpora import Mnist


@pytest.mark.parametrize("compress", [False, True])
def test_the_small_files_are_the_test_and_the_others_are_training_and_validation(
    tmp_path, compress
):
    written = write_mnist(tmp_path, compress=compress)
    contents = Mnist(str(tmp_path)).read()
    assert Counter(clip.split for clip in contents.recordings) == {
        "train": 54,
        "val": 6,
        "test": 20,
    }
    assert contents.output_names == list("0123456789")
    for clip in contents.recordings:
        part = "t10k" if clip.split == "test" else "train"
        assert clip.image.name.startswith(part)
        assert clip.label == str(written[part][1][clip.archive_index])


def test_the_root_may_be_the_folder_of_the_files(tmp_path):
    write_mnist(tmp_path)
    assert len(Mnist(str(tmp_path / "MNIST" / "raw")).read().recordings) == 80


def test_pictures_without_a_digit_each_are_refused(tmp_path):
    write_mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    for labels in (np.zeros(19, np.uint8), np.full(20, 10, np.uint8)):
        path.write_bytes(encode_idx(labels))
        with pytest.raises(ValueError, match="does not hold a digit for each of the 20 pictures"):
            Mnist(str(tmp_path)).read()
