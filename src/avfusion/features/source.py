"""Files of recordings: opened safely, and what is said of those that cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
from av.container import InputContainer

ENDLESS = 2**31 - 2**16  # bytes; a RIFF header that states more was written to a pipe
# No play lists: they would open other files. No PostScript: it would run a program.
FORMATS = (
    "wav,w64,aiff,au,caf,flac,mp3,ogg,aac,ac3,amr,asf,avi,flv,h264,hevc,m4v,matroska,webm,mov,mp4,"
    "m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,mjpeg,gif,dv,h261,h263,"
    "ivf,mxf,nut,obu,rm,vc1,yuv4mpegpipe"
)
MOST_PIXELS = 2**25  # of a video, a little more than those of 8K; a decoder holds several pictures
OPTIONS = {"format_whitelist": FORMATS, "max_pixels": str(MOST_PIXELS)}


class Unreadable(ValueError):
    """A file that cannot be used; reports count its ``reason``, the message has the detail.

    A ``fatal`` one ends a preparation rather than being skipped.
    """

    fatal = False

    def __init__(self, reason: str, path: Path, detail: str = "") -> None:
        super().__init__(f"{path.name}: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason


class Missing(Unreadable):
    """A recording without any sound, or without any picture."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into a reason that names the file."""
    try:
        check_start(path)
        yield
    except Unreadable:
        raise
    except Exception as error:  # decoders raise anything, and none of it may end a long run
        raise Unreadable("cannot be decoded", path, str(error)) from error


def check_start(path: Path) -> None:
    """Refuse what is no file, or a file whose first bytes tell that it cannot be whole."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise Unreadable("no file but a pipe, socket or device", path)  # reading might never end
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise Unreadable("empty file", path)
    if start.startswith(b"version https://git-lfs"):
        raise Unreadable("git-LFS pointer, run git lfs pull", path)
    size, promised = path.stat().st_size, 8 + int.from_bytes(start[4:8], "little")
    video = start[8:12] == b"AVI "  # of which the pictures that are left may be enough
    if start.startswith(b"RIFF") and not video and size < 0.9 * promised < ENDLESS:
        raise Unreadable("truncated", path, f"{size} of {promised} bytes")


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a media file; metadata in odd encodings are no reason to fail."""
    with (
        reading(path),
        av.open(str(path), metadata_errors="replace", options=OPTIONS) as container,
    ):
        yield container
