"""MNIST: 70,000 gray pictures of handwritten digits, of 28 x 28 pixels."""

from pathlib import Path

from avfusion.corpora.image_archives import ImageArchive, read_idx
from avfusion.corpora.recording import Recording


class Mnist(ImageArchive):
    """MNIST (LeCun et al., 1998, https://doi.org/10.1109/5.726791), by unknown writers.

    The 10,000 pictures of ``t10k`` are the test split; validation is drawn from the others.
    """

    name = "mnist"
    class_names = tuple("0123456789")
    folder = "MNIST/raw"
    file_names = (
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    )
    dataset = "MNIST"
    download_hint = f"the files {', '.join(file_names)}"

    def read_splits(self, files: list[Path]) -> tuple[list[Recording], list[Recording]]:
        """Read the two files of pictures, each labeled by the one after it."""
        return (
            self._read_digits(files[0], files[1], "train"),
            self._read_digits(files[2], files[3], "test"),
        )

    def _read_digits(self, images: Path, digits: Path, split: str) -> list[Recording]:
        labels, pictures = read_idx(digits, axes=1).tolist(), read_idx(images, axes=3)
        if len(labels) != len(pictures) or not set(labels) <= set(range(len(self.class_names))):
            raise ValueError(
                f"{digits} does not hold a digit for each of the {len(pictures)} pictures of "
                f"{images}: get both anew."
            )

        return [
            Recording(
                clip_id=f"{split}_{index:05d}",
                label=self.class_names[label],
                subject="",
                split=split,
                image=images,
                archive_index=index,
            )
            for index, label in enumerate(labels)
        ]
