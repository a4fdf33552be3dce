"""CIFAR-10: 60,000 colour pictures of 32 x 32 pixels, of ten classes."""

from pathlib import Path

from avfusion.corpora.image_archives import (
    check_validation,
    fetch,
    find_files,
    read_batch,
    with_validation,
)
from avfusion.corpora.recording import Contents, Recording

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()
TRAINING = [f"data_batch_{number}" for number in range(1, 6)]
TEST = "test_batch"


class Cifar10:
    """The official files, found in ``root`` or downloaded there: pictures only, nobody's.

    The test batch is the test, a part ``validation`` of the others, drawn by ``split_seed``, the
    validation. The publisher's splits are not ours to correct: pictures that are in two of them
    are counted in every result. Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html.
    """

    name = "cifar10"
    on_error = "raise"
    labels = "single_label"
    allowed_leaks = (
        "same_picture_in_two_splits",
        "two_labels_for_one_recording",
        "untrained_classes",
    )

    def __init__(self, root: str, validation: float = 0.1, split_seed: int = 0) -> None:
        check_validation(validation, split_seed)
        self.root = Path(root).resolve()
        self.validation = validation
        self.split_seed = split_seed

    @property
    def is_there(self) -> bool:
        """Whether reading downloads nothing."""
        return bool(self.files())

    def read(self) -> Contents:
        """Return the contents, downloaded if they are not there yet."""
        unpack = "the unpacked cifar-10-python.tar.gz"
        files = self.files() or fetch("CIFAR10", self.root, self.files, unpack)
        *training, test = [recordings(file) for file in files]
        known = [recording for batch in training for recording in batch]
        known = with_validation(known, self.validation, self.split_seed)
        return Contents(known + test, CLASSES)

    def files(self) -> list[Path]:
        """Return the batches, nothing where none is there."""
        return find_files([self.root / "cifar-10-batches-py", self.root], [*TRAINING, TEST])


def recordings(file: Path) -> list[Recording]:
    """Return the pictures of a batch."""
    split = "test" if file.name == TEST else "train"
    _, labels = read_batch(file)
    if not set(labels) <= set(range(len(CLASSES))):
        raise ValueError(
            f"{file} has labels outside of 0 to 9: unpack cifar-10-python.tar.gz anew."
        )
    return [
        Recording(f"{file.name}_{place:05d}", CLASSES[label], "", split, image=file, place=place)
        for place, label in enumerate(labels)
    ]
