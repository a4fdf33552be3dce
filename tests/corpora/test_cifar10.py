"""CIFAR-10: splits, labels and folders of the published batches."""

from collections import Counter

import numpy as np
import pytest
from tiny_datasets import BATCHES, python2_pickle, write_cifar10

from avfusion.corpora import Cifar10


def test_the_test_batch_is_the_test_and_the_others_are_training_and_validation(tmp_path):
    write_cifar10(tmp_path)
    contents = Cifar10(str(tmp_path), validation=0.2).read()
    assert Counter(clip.split for clip in contents.recordings) == {
        "train": 40,
        "val": 10,
        "test": 10,
    }
    tested = {clip.image.name for clip in contents.recordings if clip.split == "test"}
    assert tested == {"test_batch"}
    known = {clip.image.name for clip in contents.recordings if clip.split != "test"}
    assert known == set(BATCHES) - tested


def test_labels_have_the_names_of_the_publisher_and_no_subject_is_known(tmp_path):
    written = write_cifar10(tmp_path)
    contents = Cifar10(str(tmp_path)).read()
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    assert contents.output_names == names
    for clip in contents.recordings:
        assert clip.label == names[written[clip.image.name][1][clip.archive_index]]
        assert clip.clip_id == f"{clip.image.name}_{clip.archive_index:05d}" and clip.subject == ""


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py"])
def test_the_root_is_the_folder_of_the_batches_or_the_one_around_it(tmp_path, inside):
    write_cifar10(tmp_path)
    assert len(Cifar10(str(tmp_path / inside)).read().recordings) == 60


def test_a_label_beyond_the_classes_is_refused(tmp_path):
    write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(python2_pickle(np.zeros((1, 3072), np.uint8), [10]))
    with pytest.raises(ValueError, match="data_batch_3 has labels outside of 0 to 9"):
        Cifar10(str(tmp_path)).read()
