"""Pictures as phones write them: a grid of tiles in a HEIF or AVIF container, perhaps turned."""

import io
import struct

import numpy as np
from PIL import Image


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def full_box(kind: bytes, content: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, bytes([version]) + flags.to_bytes(3, "big") + content)


def coded(tile: np.ndarray, form: str) -> tuple[bytes, bytes]:
    """Return the decoder's configuration box of one tile, and its data."""
    file = io.BytesIO()
    Image.fromarray(tile).save(file, form, quality=95)
    content = file.getvalue()
    kind = b"av1C" if form == "AVIF" else b"hvcC"
    start = content.index(kind) - 4
    configuration = content[start : start + int.from_bytes(content[start : start + 4], "big")]
    return configuration, content[content.rindex(b"mdat") + 4 :]


def write_grid(path, picture, form="AVIF", tile=64, turn=None, mirror=None, size=None):
    """Write a picture in tiles; shown ``turn`` quarters counterclockwise, mirrored on an axis.

    ``size`` is width and height where the last tiles are cut off.
    """
    height, width, _ = picture.shape
    rows, columns = height // tile, width // tile
    tiles = [
        coded(np.ascontiguousarray(picture[top : top + tile, left : left + tile]), form)
        for top in range(0, height, tile)
        for left in range(0, width, tile)
    ]
    configuration, kind = tiles[0][0], b"av01" if form == "AVIF" else b"hvc1"
    shown = size or (width, height)
    items = [struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, *shown)]
    items += [data for _, data in tiles]
    entries = [(1, 0, b"grid")] + [(number, 1, kind) for number in range(2, len(items) + 1)]
    infos = b"".join(
        full_box(b"infe", struct.pack(">HH4s", number, 0, name) + b"\0", 2, hidden)
        for number, hidden, name in entries
    )
    parts = struct.pack(">HH", 1, len(tiles)) + b"".join(
        struct.pack(">H", number) for number in range(2, len(items) + 1)
    )
    properties = [
        full_box(b"ispe", struct.pack(">II", *shown)),
        full_box(b"ispe", struct.pack(">II", tile, tile)),
        configuration,
        full_box(b"pixi", bytes([3, 8, 8, 8])),
    ]
    of_grid, of_tile = [1, 4], [2, 0x80 | 3, 4]
    for name, value in ((b"irot", turn), (b"imir", mirror)):
        if value is not None:
            properties.append(box(name, bytes([value])))
            of_grid.append(0x80 | len(properties))
    owners = [(1, of_grid), *((number, of_tile) for number in range(2, len(items) + 1))]
    links = b"".join(struct.pack(">HB", number, len(its)) + bytes(its) for number, its in owners)

    def meta(first: int) -> bytes:
        places, start = b"", first
        for number, data in enumerate(items, 1):
            places += struct.pack(">HHHII", number, 0, 1, start, len(data))
            start += len(data)
        return full_box(
            b"meta",
            full_box(b"hdlr", struct.pack(">I4s", 0, b"pict") + bytes(13))
            + full_box(b"pitm", struct.pack(">H", 1))
            + full_box(b"iloc", bytes([0x44, 0]) + struct.pack(">H", len(items)) + places)
            + full_box(b"iinf", struct.pack(">H", len(entries)) + infos)
            + full_box(b"iref", box(b"dimg", parts))
            + box(
                b"iprp",
                box(b"ipco", b"".join(properties))
                + full_box(b"ipma", struct.pack(">I", len(owners)) + links),
            ),
        )

    brand = b"avif" if form == "AVIF" else b"heic"
    start = box(b"ftyp", brand + bytes(4) + b"mif1" + brand + b"miaf")
    first = len(start) + len(meta(0)) + 8
    path.write_bytes(start + meta(first) + box(b"mdat", b"".join(items)))
    return path
