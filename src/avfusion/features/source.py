"""Files of recordings: opened safely, with progress, and errors for those that cannot be used."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import av
from av.container import InputContainer

from avfusion.corpora.spelling import escape_surrogates
from avfusion.features.header import open_repaired, read_header

_listeners: list[Callable[[], None]] = []


@contextmanager
def listening(listener: Callable[[], None]) -> Iterator[None]:
    """Call ``listener`` whenever decoding in this process has come a packet further."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def advance() -> None:
    """Tell that decoding has come a packet further."""
    for listener in _listeners:
        listener()


# No play lists: they would open other files. No PostScript: it would run a program.
FORMATS = (
    "wav,w64,aiff,au,caf,flac,mp3,ogg,aac,ac3,amr,asf,avi,flv,h264,hevc,m4v,matroska,webm,mov,mp4,"
    "m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,mjpeg,gif,dv,h261,h263,ivf,mxf,nut,obu,rm,vc1,"
    "yuv4mpegpipe,"
    # Sounds of speech corpora and of archives
    "nistsphere,voc,ircam,sox,avr,pvf,epaf,iff,wv,tta,ape,tak,shn,mpc,mpc8,eac3,dts,dtshd,truehd,"
    "mlp,loas,latm,amrnb,amrwb,gsm,qcp,oma,dsf"
)
MOST_PIXELS = 2**25  # of a video, a little more than those of 8K; a decoder holds several pictures
OPTIONS = {"format_whitelist": FORMATS, "max_pixels": str(MOST_PIXELS)}


class Unreadable(ValueError):
    """A file that cannot be used; reports count its ``reason``, the message has the detail.

    A ``fatal`` one ends a preparation rather than being skipped.
    """

    fatal = False

    def __init__(self, reason: str, path: Path, detail: str = "") -> None:
        told = f" ({detail})" if detail else ""
        super().__init__(escape_surrogates(f"{path.name}: {reason}{told}"))
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
        start = file.read(1024)
    if not start:
        raise Unreadable("empty file", path)
    if start.startswith(b"version https://git-lfs"):
        raise Unreadable("git-LFS pointer, run git lfs pull", path)
    if start.startswith(b"NIST_1A") and b"shorten" in start:
        raise Unreadable("compressed with shorten, convert it with sph2pipe", path)


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a media file; metadata in odd encodings are no reason to fail, nor are unknown sizes."""
    with reading(path):
        header = read_header(path)
        repaired = header.repaired if header else {}
        source = open_repaired(path, repaired) if repaired else nullcontext(str(path))
        with (
            source as name,
            av.open(name, "r", metadata_errors="replace", options=OPTIONS) as container,
        ):
            yield container
