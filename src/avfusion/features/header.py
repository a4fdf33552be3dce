"""Lengths that the headers of sound files promise.

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
UNKNOWN = (0x7F000000, 2**31, 2**32)
NEAR = 2**16
ENDLESS = 2**62  # of eight bytes; W64 and RF64 have the largest number, CAF -1
NOTHING = 32  # bytes; a size of no more than what belongs to its chunk itself
Order = Literal["little", "big"]


class Header(NamedTuple):
    """Where the samples of a file start, and how many bytes of them there are.

    ``stated`` is what the header says, None where it says that it does not know. ``repaired`` has
    the true sizes, by their place in the file, for those that FFmpeg would not understand.
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
    """A number of a header: its place in the file, its bytes and their order."""

    place: int
    length: int = 4
    order: Order = "little"

    def read(self, file: BinaryIO) -> int:
        """Return the number."""
        file.seek(self.place)
        return int.from_bytes(file.read(self.length), self.order)

    def as_bytes(self, number: int) -> bytes:
        """Return another number in its place; too large a one is the largest there is."""
        return min(number, 256**self.length - 1).to_bytes(self.length, self.order)


def read_header(path: Path) -> Header | None:
    """Return what the header of an uncompressed sound says, None of any other file."""
    length = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(16)
        for name, read in READERS.items():
            if start.startswith(name):
                return read(file, length)
    return None


def open_repaired(path: Path, repaired: dict[int, bytes]) -> io.BufferedReader:
    """Open a file with other bytes in some places."""
    return io.BufferedReader(_Repaired(path, repaired))


class _Repaired(io.FileIO):
    def __init__(self, path: Path, repaired: dict[int, bytes]) -> None:
        super().__init__(path)
        self.repaired = repaired

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        place = self.tell()
        count = super().readinto(buffer) or 0
        for where, content in self.repaired.items():
            for offset, byte in enumerate(content, where - place):
                if 0 <= offset < count:
                    buffer[offset] = byte
        return count


def is_unknown(stated: int, available: int, length: int = 4) -> bool:
    """Say whether a size means that its writer did not know it."""
    if stated <= NOTHING:
        return available > NOTHING
    if length == 8 and stated >= ENDLESS:
        return True
    return stated > available and any(abs(stated - size) <= NEAR for size in UNKNOWN)


def _riff(file: BinaryIO, length: int) -> Header | None:
    file.seek(0)
    name = file.read(4)
    order: Order = "big" if name == b"RIFX" else "little"
    file.seek(8)
    if file.read(4) != b"WAVE":
        return None
    long_sizes = None  # of RF64 and BW64, which have them in front
    place = 12
    while place + 8 <= length:
        file.seek(place)
        chunk, size = file.read(4), Field(place + 4, 4, order).read(file)
        if chunk == b"ds64":
            long_sizes = place + 8
        if chunk == b"data":
            break
        place += 8 + size + size % 2
    else:
        return None
    whole, field, extra = Field(4, 4, order), Field(place + 4, 4, order), {}
    if long_sizes is not None and size == 2**32 - 1:
        whole, field = Field(long_sizes, 8), Field(long_sizes + 8, 8)
        extra = {long_sizes + 16: bytes(8)}  # the number of samples follows from the size
        size = field.read(file)
    start = place + 8
    available = length - start
    followed = _only_chunks(file, start + size + size % 2, length, Layout(order))
    if followed or not is_unknown(size, available, field.length):
        return Header(start, min(size, available), size, {})
    repaired = {
        whole.place: whole.as_bytes(length - 8),
        field.place: field.as_bytes(available),
        **extra,
    }
    return Header(start, available, None, repaired)


class Layout(NamedTuple):
    """How a chunk begins: bytes of its name, and of its size in some order.

    Its end is padded to a multiple of ``align`` bytes; a ``whole`` size counts name and size, too.
    """

    order: Order
    name: int = 4
    size: int = 4
    align: int = 2
    whole: bool = False


def _only_chunks(file: BinaryIO, place: int, length: int, layout: Layout) -> bool:
    """Say whether what follows are chunks up to the end of the file, rather than samples."""
    head = layout.name + layout.size
    while place + head <= length:
        file.seek(place)
        name = file.read(4)
        if not (name.isascii() and name.decode("ascii").isprintable()):
            return False
        size = Field(place + layout.name, layout.size, layout.order).read(file)
        size -= head if layout.whole else 0
        if size < 0:
            return False
        place += head + size + -size % layout.align
    return length <= place < length + layout.align


def _w64(file: BinaryIO, length: int) -> Header | None:
    place = 40
    while place + 24 <= length:
        file.seek(place)
        name, field = file.read(4), Field(place + 16, 8)
        size = field.read(file)
        if name == b"data":
            break
        place += max(24, size + -size % 8)
    else:
        return None
    available = length - place - 24
    followed = size >= 24 and _only_chunks(
        file, place + size + -size % 8, length, Layout("little", 16, 8, 8, whole=True)
    )
    if followed or not is_unknown(size, available, 8):
        return Header(place + 24, min(size - 24, available), size - 24, {})
    repaired = {16: Field(16, 8).as_bytes(length), field.place: field.as_bytes(available + 24)}
    return Header(place + 24, available, None, repaired)


def _aiff(file: BinaryIO, length: int) -> Header | None:
    place, common = 12, None
    while place + 16 <= length:
        file.seek(place)
        name, field = file.read(4), Field(place + 4, 4, "big")
        size = field.read(file)
        if name == b"COMM":
            common = place + 8
        if name == b"SSND":
            break
        place += 8 + size + size % 2
    else:
        return None
    skipped = 8 + Field(place + 8, 4, "big").read(file)
    available = length - place - 8 - skipped
    followed = size >= skipped and _only_chunks(
        file, place + 8 + size + size % 2, length, Layout("big")
    )
    if followed or not is_unknown(size, available):
        return Header(place + 8 + skipped, min(size - skipped, available), size - skipped, {})
    repaired = {
        4: Field(4, 4, "big").as_bytes(length - 8),
        field.place: field.as_bytes(available + skipped),
    }
    if common is not None:
        channels, bits = (Field(common + at, 2, "big").read(file) for at in (0, 6))
        frames = Field(common + 2, 4, "big")
        repaired[frames.place] = frames.as_bytes(available // max(1, channels * -(-bits // 8)))
    return Header(place + 8 + skipped, available, None, repaired)


def _au(file: BinaryIO, length: int) -> Header | None:
    start, field = Field(4, 4, "big").read(file), Field(8, 4, "big")
    size, available = field.read(file), length - start
    if not is_unknown(size, available):
        return Header(start, min(size, available), size, {})
    return Header(start, available, None, {8: field.as_bytes(available)})


def _caf(file: BinaryIO, length: int) -> Header | None:
    place = 8
    while place + 12 <= length:
        file.seek(place)
        name, field = file.read(4), Field(place + 4, 8, "big")
        size = field.read(file)
        if name == b"data":
            break
        place += 12 + size
    else:
        return None
    edits = 4  # bytes: the number of edits, before the samples
    start = place + 12 + edits
    available = length - start
    followed = size >= edits and _only_chunks(
        file, place + 12 + size, length, Layout("big", 4, 8, 1)
    )
    if followed or not is_unknown(size, available, 8):
        return Header(start, min(size - edits, available), size - edits, {})
    return Header(start, available, None, {field.place: field.as_bytes(available + edits)})


READERS: dict[bytes, Callable[[BinaryIO, int], Header | None]] = {
    b"RIFF": _riff,
    b"RIFX": _riff,
    b"RF64": _riff,
    b"BW64": _riff,
    b"riff\x2e\x91\xcf\x11": _w64,
    b"FORM": _aiff,
    b".snd": _au,
    b"caff": _caf,
}


def ogg_end(path: Path, rate: int) -> float:
    """Return the time in seconds that the last page of an Ogg file states, damaged or cut or not.

    https://www.rfc-editor.org/rfc/rfc3533#section-6
    """
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2**18))  # a page has at most 65,307 bytes
        end = file.read()
    last = end.rfind(b"OggS")
    stated = int.from_bytes(end[last + 6 : last + 14], "little", signed=True)
    return stated / rate if last >= 0 and len(end) >= last + 14 else 0.0


def avi_seconds(path: Path, track: int) -> float:
    """Return the length that an AVI states for one of its sound tracks, zero where it does not."""
    with path.open("rb") as file:
        start = file.read(2**16)
    place = -1
    for _ in range(track + 1):
        place = start.find(b"auds", place + 1)
    if place < 8 or start[place - 8 : place - 4] != b"strh":
        return 0.0
    scale, rate, _, length = struct.unpack("<4I", start[place + 20 : place + 36])
    return length * scale / rate if rate else 0.0


def is_cut_riff(path: Path) -> bool:
    """Say whether a RIFF file, such as AVI, ends before its last list does."""
    length, place = path.stat().st_size, 0
    with path.open("rb") as file:
        while place + 12 <= length:
            file.seek(place)
            if file.read(4) != b"RIFF":
                return False
            size = Field(place + 4).read(file)
            if is_unknown(size, length - place - 8):
                return False
            place += 8 + size + size % 2
    return place > length + 1


MP3_RATES = (44_100, 48_000, 32_000)  # Hz, of version 1


def mp3_seconds(path: Path) -> float | None:
    """Return the length that an MP3 states in the frame of Xing, LAME or Fraunhofer, if any.

    http://gabriel.mp3-tech.org/mp3infotag.html
    """
    with path.open("rb") as file:
        start, place = file.read(10), 0
        while start.startswith(b"ID3"):  # its size has seven bits a byte
            size = sum((byte & 127) << 7 * bit for bit, byte in enumerate(reversed(start[6:])))
            place += 10 + size + (10 if start[5] & 16 else 0)
            file.seek(place)
            start = file.read(10)
        file.seek(place)
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
