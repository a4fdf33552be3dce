"""CIFAR-10 and MNIST as their publishers write them, with few pictures."""

import gzip
import struct
from pathlib import Path

import numpy as np

BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


def python2_pickle(data: np.ndarray, labels: list[int]) -> bytes:
    """Pickle a batch opcode by opcode, as Python 2 and the numpy of its time did."""

    def text(content: bytes) -> bytes:
        return b"U" + bytes([len(content)]) + content

    def integer(number: int) -> bytes:
        return b"J" + struct.pack("<i", number)

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|")
    dtype += b"NNN" + integer(-1) + integer(-1) + b"K\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b")
    array += b"\x87R(K\x01" + integer(data.shape[0]) + integer(data.shape[1]) + b"\x86" + dtype
    array += b"\x89T" + struct.pack("<i", data.nbytes) + data.tobytes() + b"tb"
    numbers = b"](" + b"".join(map(integer, labels)) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


def write_cifar10(root: Path, each: int = 10) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Write the six batches; return their pictures, ``[each, 3, 32, 32]``, and labels."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True, exist_ok=True)
    generator, written = np.random.default_rng(0), {}
    for name in BATCHES:
        labels = [place % 10 for place in range(each)]
        dark = generator.integers(0, 100, (each, 3, 32, 32))
        pictures = (dark + 15 * np.array(labels)[:, None, None, None]).astype(np.uint8)
        (folder / name).write_bytes(python2_pickle(pictures.reshape(each, -1), labels))
        written[name] = (pictures, labels)
    return written


def encode_idx(array: np.ndarray) -> bytes:
    """Encode an array as an IDX file."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(
    root: Path, train: int = 60, test: int = 20, compress: bool = False
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write the four files; return pictures, ``[clips, 28, 28]``, and labels."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    generator, written = np.random.default_rng(1), {}
    for part, count in (("train", train), ("t10k", test)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        pictures = generator.integers(0, 100, (count, 28, 28), dtype=np.uint8)
        pictures += (15 * labels)[:, None, None]
        for array, kind in ((pictures, "images-idx3"), (labels, "labels-idx1")):
            path = folder / f"{part}-{kind}-ubyte{'.gz' if compress else ''}"
            path.write_bytes(gzip.compress(encode_idx(array)) if compress else encode_idx(array))
        written[part] = (pictures, labels)
    return written
