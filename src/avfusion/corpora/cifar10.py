"""CIFAR-10: 60,000 color pictures of 32 x 32 pixels, of ten classes."""

from pathlib import Path

from avfusion.corpora.image_archives import ImageArchive, read_cifar_batch
from avfusion.corpora.recording import Recording


class Cifar10(ImageArchive):
    """CIFAR-10 (Krizhevsky, 2009, https://www.cs.toronto.edu/~kriz/cifar.html).

    The test batch is the test split; validation is drawn from the other five.
    """

    name = "cifar10"
    class_names = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )
    folder = "cifar-10-batches-py"
    file_names = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
    dataset = "CIFAR10"
    download_hint = "the unpacked cifar-10-python.tar.gz"

    def read_splits(self, files: list[Path]) -> tuple[list[Recording], list[Recording]]:
        """Read the batches; the last one is the test."""
        *training, test = files
        return (
            [clip for file in training for clip in self._read_batch(file, "train")],
            self._read_batch(test, "test"),
        )

    def _read_batch(self, file: Path, split: str) -> list[Recording]:
        _, labels = read_cifar_batch(file)
        if not set(labels) <= set(range(len(self.class_names))):
            raise ValueError(
                f"{file} has labels outside of 0 to 9: unpack cifar-10-python.tar.gz anew."
            )

        return [
            Recording(
                clip_id=f"{file.name}_{index:05d}",
                label=self.class_names[label],
                subject="",
                split=split,
                image=file,
                archive_index=index,
            )
            for index, label in enumerate(labels)
        ]
