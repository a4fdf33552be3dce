"""MNIST: 70,000 handwritten digits, in grey, of 28 x 28 pixels."""

from pathlib import Path

from avfusion.corpora.image_archives import (
    check_validation,
    fetch,
    find_files,
    read_idx,
    with_validation,
)
from avfusion.corpora.recording import Contents, Recording

CLASSES = [str(digit) for digit in range(10)]
FILES = [
    f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]


class Mnist:
    """The official files, found in ``root`` or downloaded there: pictures only, of unknown writers.

    The 10,000 of ``t10k`` are the test, a part ``validation`` of the others, drawn by
    ``split_seed``, the validation. The publisher's splits are not ours to correct: pictures that
    are in two of them are counted in every result. LeCun et al., 1998,
    https://doi.org/10.1109/5.726791.
    """

    name = "mnist"
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
        unpack = f"the files {', '.join(FILES)}"
        files = self.files() or fetch("MNIST", self.root, self.files, unpack)
        training = recordings(files[0], files[1], "train")
        training = with_validation(training, self.validation, self.split_seed)
        return Contents(training + recordings(files[2], files[3], "test"), CLASSES)

    def files(self) -> list[Path]:
        """Return the four files, compressed or not, nothing where none is there."""
        return find_files([self.root / "MNIST" / "raw", self.root], FILES)


def recordings(images: Path, digits: Path, split: str) -> list[Recording]:
    """Return the pictures of a file, labelled by another."""
    labels, pictures = read_idx(digits, axes=1).tolist(), read_idx(images, axes=3)
    if len(labels) != len(pictures) or not set(labels) <= set(range(len(CLASSES))):
        raise ValueError(
            f"{digits} does not hold a digit for each of the {len(pictures)} pictures of {images}: "
            "get both anew."
        )
    return [
        Recording(f"{split}_{place:05d}", CLASSES[label], "", split, image=images, place=place)
        for place, label in enumerate(labels)
    ]
