"""Headers of sound files: the lengths that they promise.

Whatever writes to a pipe cannot return to the header once it knows the length: it leaves a size
there that means "unknown". FFmpeg refuses some of these, and takes others at their word.
"""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

# Sizes that writers use for "unknown", give or take what they add or leave out for other chunks:
# SoX (AIFF), SoX, eSpeak, ALSA, opusdec and many others (WAV), FFmpeg and others (WAV, AU).
UNKNOWN_SIZES = (0x7F000000, 2**31, 2**32)
SIZE_TOLERANCE = 2**16  # bytes
MIN_UNKNOWN_SIZE = 2**62  # in eight bytes; W64 and RF64 have the largest number, CAF -1
MAX_EMPTY_SIZE = 32  # bytes; a size of no more than what belongs to its chunk itself
ByteOrder = Literal["little", "big"]


class Header(NamedTuple):
    """Extent of the samples of a file: where they start, and how many bytes there are.

    ``stated`` is what the header says, None where it says that it does not know. ``repaired`` has
    the true sizes, by their offset in the file, for those that FFmpeg would not understand.
    """

    start: int
    size: int
    stated: int | None
    repaired: dict[int, bytes]

    @property
    def missing(self) -> float:
        """Missing samples as a part of those that are there."""
        if self.stated is None or not self.size:
            return 0.0
        return max(0, self.stated - self.size) / self.size


class Field(NamedTuple):
    """A number of a header: its offset in the file, its bytes and their order."""

    offset: int
    length: int = 4
    order: ByteOrder = "little"

    def read(self, file: BinaryIO) -> int:
        """Read the number that is there."""
        file.seek(self.offset)
        return int.from_bytes(file.read(self.length), self.order)

    def to_bytes(self, number: int) -> bytes:
        """Encode another number; too large a one becomes the largest there is."""
        return min(number, 256**self.length - 1).to_bytes(self.length, self.order)


def read_header(path: Path) -> Header | None:
    """Read the header of an uncompressed sound, None of any other file."""
    length = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(16)
        for name, read in HEADER_READERS.items():
            if start.startswith(name):
                return read(file, length)
    return None


def open_repaired(path: Path, repaired: dict[int, bytes]) -> io.BufferedReader:
    """Open a file with other bytes at some offsets."""
    return io.BufferedReader(_Repaired(path, repaired))


class _Repaired(io.FileIO):
    def __init__(self, path: Path, repaired: dict[int, bytes]) -> None:
        super().__init__(path)
        self.repaired = repaired

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        offset = self.tell()
        count = super().readinto(buffer) or 0
        for where, content in self.repaired.items():
            for index, byte in enumerate(content, where - offset):
                if 0 <= index < count:
                    buffer[index] = byte
        return count


def is_unknown(stated: int, available: int, length: int = 4) -> bool:
    """Whether a size means that its writer did not know it."""
    if stated <= MAX_EMPTY_SIZE:
        return available > MAX_EMPTY_SIZE
    if length == 8 and stated >= MIN_UNKNOWN_SIZE:
        return True
    return stated > available and any(
        abs(stated - size) <= SIZE_TOLERANCE for size in UNKNOWN_SIZES
    )


def _read_riff(file: BinaryIO, length: int) -> Header | None:
    file.seek(0)
    name = file.read(4)
    order: ByteOrder = "big" if name == b"RIFX" else "little"
    file.seek(8)
    if file.read(4) != b"WAVE":
        return None
    long_sizes = None  # of RF64 and BW64, which have them in front
    offset = 12
    while offset + 8 <= length:
        file.seek(offset)
        chunk, size = file.read(4), Field(offset + 4, 4, order).read(file)
        if chunk == b"ds64":
            long_sizes = offset + 8
        if chunk == b"data":
            break
        offset += 8 + size + size % 2
    else:
        return None

    whole, field, extra = Field(4, 4, order), Field(offset + 4, 4, order), {}
    if long_sizes is not None and size == 2**32 - 1:
        whole, field = Field(long_sizes, 8), Field(long_sizes + 8, 8)
        extra = {long_sizes + 16: bytes(8)}  # the number of samples follows from the size
        size = field.read(file)
    start = offset + 8
    available = length - start
    is_followed = _are_chunks(file, start + size + size % 2, length, Layout(order))
    if is_followed or not is_unknown(size, available, field.length):
        return Header(start, min(size, available), size, {})

    repaired = {
        whole.offset: whole.to_bytes(length - 8),
        field.offset: field.to_bytes(available),
        **extra,
    }
    return Header(start, available, None, repaired)


class Layout(NamedTuple):
    """Layout of a chunk's start: bytes of its name, and of its size in some order.

    Its end is padded to a multiple of ``align`` bytes; a ``whole`` size counts name and size, too.
    """

    order: ByteOrder
    name: int = 4
    size: int = 4
    align: int = 2
    whole: bool = False


def _are_chunks(file: BinaryIO, offset: int, length: int, layout: Layout) -> bool:
    """Whether chunks follow up to the end of the file, rather than samples."""
    head = layout.name + layout.size
    while offset + head <= length:
        file.seek(offset)
        name = file.read(4)
        if not (name.isascii() and name.decode("ascii").isprintable()):
            return False
        size = Field(offset + layout.name, layout.size, layout.order).read(file)
        size -= head if layout.whole else 0
        if size < 0:
            return False
        offset += head + size + -size % layout.align
    return length <= offset < length + layout.align


def _read_w64(file: BinaryIO, length: int) -> Header | None:
    offset = 40
    while offset + 24 <= length:
        file.seek(offset)
        name, field = file.read(4), Field(offset + 16, 8)
        size = field.read(file)
        if name == b"data":
            break
        offset += max(24, size + -size % 8)
    else:
        return None

    available = length - offset - 24
    is_followed = size >= 24 and _are_chunks(
        file, offset + size + -size % 8, length, Layout("little", 16, 8, 8, whole=True)
    )
    if is_followed or not is_unknown(size, available, 8):
        return Header(offset + 24, min(size - 24, available), size - 24, {})

    repaired = {16: Field(16, 8).to_bytes(length), field.offset: field.to_bytes(available + 24)}
    return Header(offset + 24, available, None, repaired)


def _read_aiff(file: BinaryIO, length: int) -> Header | None:
    offset, common = 12, None
    while offset + 16 <= length:
        file.seek(offset)
        name, field = file.read(4), Field(offset + 4, 4, "big")
        size = field.read(file)
        if name == b"COMM":
            common = offset + 8
        if name == b"SSND":
            break
        offset += 8 + size + size % 2
    else:
        return None

    skipped = 8 + Field(offset + 8, 4, "big").read(file)
    available = length - offset - 8 - skipped
    is_followed = size >= skipped and _are_chunks(
        file, offset + 8 + size + size % 2, length, Layout("big")
    )
    if is_followed or not is_unknown(size, available):
        return Header(offset + 8 + skipped, min(size - skipped, available), size - skipped, {})

    repaired = {
        4: Field(4, 4, "big").to_bytes(length - 8),
        field.offset: field.to_bytes(available + skipped),
    }
    if common is not None:
        channels, bits = (Field(common + at, 2, "big").read(file) for at in (0, 6))
        frames = Field(common + 2, 4, "big")
        repaired[frames.offset] = frames.to_bytes(available // max(1, channels * -(-bits // 8)))
    return Header(offset + 8 + skipped, available, None, repaired)


def _read_au(file: BinaryIO, length: int) -> Header | None:
    start, field = Field(4, 4, "big").read(file), Field(8, 4, "big")
    size, available = field.read(file), length - start
    if not is_unknown(size, available):
        return Header(start, min(size, available), size, {})
    return Header(start, available, None, {8: field.to_bytes(available)})


def _read_caf(file: BinaryIO, length: int) -> Header | None:
    offset = 8
    while offset + 12 <= length:
        file.seek(offset)
        name, field = file.read(4), Field(offset + 4, 8, "big")
        size = field.read(file)
        if name == b"data":
            break
        offset += 12 + size
    else:
        return None

    edits = 4  # bytes: the number of edits, before the samples
    start = offset + 12 + edits
    available = length - start
    is_followed = size >= edits and _are_chunks(
        file, offset + 12 + size, length, Layout("big", 4, 8, 1)
    )
    if is_followed or not is_unknown(size, available, 8):
        return Header(start, min(size - edits, available), size - edits, {})
    return Header(start, available, None, {field.offset: field.to_bytes(available + edits)})


HEADER_READERS: dict[bytes, Callable[[BinaryIO, int], Header | None]] = {
    b"RIFF": _read_riff,
    b"RIFX": _read_riff,
    b"RF64": _read_riff,
    b"BW64": _read_riff,
    b"riff\x2e\x91\xcf\x11": _read_w64,
    b"FORM": _read_aiff,
    b".snd": _read_au,
    b"caff": _read_caf,
}


def read_ogg_end(path: Path, rate: int) -> float:
    """Read the time in seconds that the last page of an Ogg file states, damaged or cut or not.

    https://www.rfc-editor.org/rfc/rfc3533#section-6
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**18))  # a page has at most 65,307 bytes
        end = file.read()
    last = end.rfind(b"OggS")
    stated = int.from_bytes(end[last + 6 : last + 14], "little", signed=True)
    return stated / rate if last >= 0 and len(end) >= last + 14 else 0.0


def read_avi_length(path: Path, track: int) -> float:
    """Read the seconds that an AVI states for one of its sound tracks, zero where it does not."""
    with path.open("rb") as file:
        start = file.read(2**16)
    offset = -1
    for _ in range(track + 1):
        offset = start.find(b"auds", offset + 1)
    if offset < 8 or start[offset - 8 : offset - 4] != b"strh":
        return 0.0
    scale, rate, _, length = struct.unpack("<4I", start[offset + 20 : offset + 36])
    return length * scale / rate if rate else 0.0


def is_cut_riff(path: Path) -> bool:
    """Whether a RIFF file, such as AVI, ends before its last list does."""
    length, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset + 12 <= length:
            file.seek(offset)
            if file.read(4) != b"RIFF":
                return False
            size = Field(offset + 4).read(file)
            if is_unknown(size, length - offset - 8):
                return False
            offset += 8 + size + size % 2
    return offset > length + 1


MP3_RATES = (44_100, 48_000, 32_000)  # Hz, of version 1


def read_mp3_length(path: Path) -> float | None:
    """Read the seconds that an MP3 states in the frame of Xing, LAME or Fraunhofer, if any.

    http://gabriel.mp3-tech.org/mp3infotag.html
    """
    with path.open("rb") as file:
        start, offset = file.read(10), 0
        while start.startswith(b"ID3"):  # its size has seven bits a byte
            size = sum((byte & 127) << 7 * bit for bit, byte in enumerate(reversed(start[6:])))
            offset += 10 + size + (10 if start[5] & 16 else 0)
            file.seek(offset)
            start = file.read(10)
        file.seek(offset)
        frame = file.read(4096).lstrip(b"\0")
    if len(frame) < 200 or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2:
        return None
    version, rate = frame[1] >> 3 & 3, frame[2] >> 2 & 3
    if version == 1 or rate == 3:
        return None
    hertz = MP3_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 1152 if version == 3 else 576
    mono = frame[3] >> 6 == 3
    beside = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    tag = frame[4 + beside :]
    if tag[:4] in (b"Xing", b"Info"):
        flags = tag[7]
        count = int.from_bytes(tag[8:12]) if flags & 1 else 0
        lame = 8 + sum(size for bit, size in enumerate((4, 4, 100, 4)) if flags >> bit & 1)
        padding = (
            int.from_bytes(tag[lame + 21 : lame + 24]) if tag[lame : lame + 1].strip(b"\0") else 0
        )
        padding = (padding >> 12) + (padding & 4095)
    elif frame[36:40] == b"VBRI":
        count, padding = int.from_bytes(frame[50:54]), 0
    else:
        return None

    return max(0, count * samples - padding) / hertz or None
