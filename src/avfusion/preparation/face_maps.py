"""Face maps of a store, computed once its frames are written."""

import logging
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float16, UInt8
from rich.progress import track
from torch import nn

from avfusion.data.store import WEIGHTS, shard_file
from avfusion.features import Stream
from avfusion.features.face import FRAMES
from avfusion.features.face_maps import FaceMaps
from avfusion.features.streams import digest_weights
from avfusion.preparation.shards import Part, read_journal
from avfusion.preparation.workers import check_room, create_shard

log = logging.getLogger(__name__)
BATCH_FRAMES = 32  # that the encoder sees at a time


def choose_device(name: str) -> torch.device:
    """Device of this name; ``auto`` is a GPU where there is one.

    Raises:
        ValueError: where there is no such device.
    """
    if name == "auto":
        kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        name = next((kind for kind, available in kinds.items() if available), "cpu")

    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"prepare.device={name} cannot compute face maps ({reason}): use auto, cpu, or a GPU "
            "that torch sees, such as cuda:0."
        ) from error

    return device


def write_maps(root: Path, parts: list[Part], maps: FaceMaps, device: torch.device) -> Stream:
    """Write the maps of the parts that have none yet; return the stream that they are."""
    encoder, name = maps.build().to(device), maps.stream
    shape = allocate_maps(root, name, encoder)
    started, todo = perf_counter(), [part for part in parts if not get_journal(part).exists()]
    for part in track(todo, "Computing face maps", transient=True):
        write_part_maps(part, name, encoder)
        get_journal(part).touch()

    if todo:
        log.info("Face maps: %d clips in %.1f s", count_clips(todo), perf_counter() - started)
    weights = {name: value.cpu() for name, value in encoder.state_dict().items()}
    torch.save(weights, root / name / WEIGHTS)

    return Stream(
        "face",
        "maps",
        shape,
        "float16",
        encoder=maps.recipe(),
        weights=maps.weights,
        sha256=digest_weights(weights),
    )


def get_journal(part: Part) -> Path:
    """File that is there once the maps of a part are written."""
    return part.journal.with_suffix(".maps")


def count_clips(parts: list[Part]) -> int:
    """How many recordings there are in parts."""
    return sum(len(part.recordings) for part in parts)


def allocate_maps(root: Path, name: str, encoder: nn.Module) -> tuple[int, ...]:
    """Create the shards that are not there, as long as those of the pictures.

    Return the shape of the maps of a clip.
    """
    faces = sorted((root / FRAMES).glob("*.npy"))
    shapes = [np.load(file, mmap_mode="r").shape for file in faces]
    picture = np.zeros((1, 1, *shapes[0][2:]), np.uint8)
    each = compute_maps(encoder, picture).shape[2:]
    needed = sum(2 * int(np.prod([*shape[:2], *each])) for shape in shapes)
    others = [path for path in root.rglob("*.npy") if path.parent.name != name]
    check_room(root, needed + sum(path.stat().st_size for path in others))
    for number, shape in enumerate(shapes):
        create_shard(shard_file(root, name, number), (*shape[:2], *each), np.dtype(np.float16))

    return (shapes[0][1], *each)


def write_part_maps(part: Part, name: str, encoder: nn.Module) -> None:
    """Write the maps of the clips of a part that have a face."""
    records = [outcome.record for outcome in read_journal(part)]
    places = [record.place for record in records if record is not None and record.has_face]
    faces = np.load(shard_file(part.root, FRAMES, part.shard), mmap_mode="r")
    maps = np.load(shard_file(part.root, name, part.shard), "r+")
    step = max(1, BATCH_FRAMES // faces.shape[1])
    for start in range(0, len(places), step):
        some = places[start : start + step]
        maps[some] = compute_maps(encoder, faces[some])

    maps.flush()


@torch.inference_mode()
def compute_maps(
    encoder: nn.Module, faces: UInt8[np.ndarray, "batch pictures height width 3"]
) -> Float16[np.ndarray, "batch pictures channels rows columns"]:
    """Maps of pictures; convolutions on a GPU get no fewer digits than on a CPU."""
    device = next(encoder.parameters()).device
    face = torch.from_numpy(faces).to(device).permute(0, 1, 4, 2, 3).float() / 255
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        maps = encoder(face).transpose(1, 2).half()
    if not maps.isfinite().all():
        raise ValueError(
            "The face maps exceed what 16 bits hold (65504): choose another "
            "features.face_maps.encoder, or a run whose encoder normalizes its map."
        )

    return maps.cpu().numpy()
