"""Media files: whether a file is a picture, a sound or a video, and files that are none."""

import re
from collections.abc import Iterable
from pathlib import Path

IMAGE_SUFFIXES = set(
    ".apng .avif .avifs .bmp .dib .gif .heic .heics .heif .heifs .hif .j2k .jfif .jif .jp2 .jpe "
    ".jpeg .jpg .jpx .jxl .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split()
)
AUDIO_SUFFIXES = set(
    ".3ga .aac .ac3 .adts .aif .aifc .aiff .amr .ape .au .awb .caf .dts .eac3 .ec3 .flac .m4a .m4b "
    ".m4r .mka .mp2 .mp3 .mpa .nist .oga .ogg .opus .snd .sph .spx .tta .voc .w64 .wav .wave .weba "
    ".wma .wv".split()
)
VIDEO_SUFFIXES = set(
    ".264 .265 .3g2 .3gp .3gp2 .3gpp .asf .avi .divx .dv .f4v .flv .h261 .h263 .h264 .h265 .hevc "
    ".ivf .m1v .m2t .m2ts .m2v .m4v .mj2 .mjpeg .mjpg .mk3d .mkv .mov .mp4 .mp4v .mpe .mpeg .mpg "
    ".mpv .mts .mxf .nut .obu .ogm .ogv .qt .rm .rmvb .tp .trp .ts .vc1 .vob .webm .wmv .xvid "
    ".y4m".split()
)
SUFFIXES = {"image": IMAGE_SUFFIXES, "audio": AUDIO_SUFFIXES, "video": VIDEO_SUFFIXES}
# Photographs as sensors took them begin as TIFF does, and what opens as that is a thumbnail.
RAW_SUFFIXES = set(".3fr .arw .cr2 .cr3 .dng .erf .nef .nrw .orf .pef .raf .raw .rw2 .srw".split())

STILL_BRANDS = rb"(avif|avis|heic|heim|heis|heix|hevc|hevx|mif1|msf1)"  # of ISO media files
SIGNATURES = {  # what files of a kind begin with
    "image": rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM....\0\0\0\0|II\*\0|MM\0\*|P[4-6]\s\d"
    rb"|RIFF....WEBP|\0\0\0.ftyp" + STILL_BRANDS + rb"|\0\0\0\x0c(jP  |JXL )|\xff\x4f\xff\x51"
    rb"|\xff\x0a",
    "audio": rb"RIF[FX]....WAVE|(RF64|BW64)....WAVE|riff\x2e\x91\xcf\x11|FORM....AIF[FC]|\.snd\0"
    rb"|caff\0\x01|fLaC|ID3[\x02-\x04]|\xff[\xe2\xe3\xf0-\xf5\xf8-\xfd]|OggS(?!.{24}\x80theora)"
    rb"|#!AMR|NIST_1A|\x0b\x77|wvpk|TTA1|MAC .\x0f|\0\0\0.ftyp(M4A |M4B )|\x7f\xfe\x80\x01",
    "video": rb"RIFF....(AVI |CDXA)|\0\0\0.ftyp|\0...(moov|mdat|wide|free)|\x1a\x45\xdf\xa3|OggS"
    rb"|FLV\x01|\x30\x26\xb2\x75|\0\0\x01[\xb3\xba]|\x06\x0e\x2b\x34|\x47.{187}\x47"
    rb"|.{4}\x47.{191}\x47|\.RMF|DKIF|YUV4MPEG2 |\0\0\0\x01[\x09\x27\x40\x46\x47\x67]",
}
SIGNATURE_BYTES = 256  # of a file that are compared

# Of Windows, macOS, and the servers of Synology and QNAP; any hidden file (.DS_Store, ._a.mp4).
COMPANION_NAMES = {
    "$recycle.bin",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@tmp",
    "#recycle",
    "#snapshot",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "icon\r",
    "lost+found",
    "picasa.ini",
    "system volume information",
    "thumbs.db",
}


def detect_kind(path: Path) -> str | None:
    """Detect whether a file is an ``image``, ``audio`` or ``video``; None if it seems neither.

    Its suffix decides or, where that is unknown, its first bytes.
    """
    suffix = path.suffix.lower()
    for kind, suffixes in SUFFIXES.items():
        if suffix in suffixes:
            return kind
    if suffix in RAW_SUFFIXES:
        return None

    with path.open("rb") as file:
        start = file.read(SIGNATURE_BYTES)
    matches = (kind for kind, form in SIGNATURES.items() if re.match(form, start, re.DOTALL))
    return next(matches, None)


def is_companion(name: str) -> bool:
    """Say whether a file or folder of this name was left by a system: hidden, or of its names."""
    return name.startswith((".", "~$")) or name.casefold() in COMPANION_NAMES


def drop_companions(paths: Iterable[Path]) -> list[Path]:
    """Drop the companion files among paths, by their own names, not by those of their folders."""
    return [path for path in paths if not is_companion(path.name)]
