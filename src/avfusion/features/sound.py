"""Sound out of any file that FFmpeg can open."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from jaxtyping import Float32

from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.source import Missing, Unreadable, opened

# Containers whose header states the true duration; others only estimate it.
EXACT = {"flac", "mov,mp4,m4a,3gp,3g2,mj2"}
HELD = 900 * SAMPLE_RATE  # samples; of a longer sound only what is wanted is held in memory
# Seconds without sound in the middle of a track that are filled with silence. Less may be rounding
# or a clock that drifts, more is a clock that jumped (a recording joined to another one).
GAPS = (0.1, 600.0)


class Sound(NamedTuple):
    """Mono sound at 16 kHz in [-1, 1]: some ``samples`` of ``total``, from ``first`` on.

    ``start`` is the time in seconds, on the clock of the file, at which the whole sound starts;
    ``finite`` says that none of its samples is infinite or not a number.
    """

    samples: Float32[np.ndarray, "samples"]
    first: int
    total: int
    start: float
    finite: bool


def read_sound(path: Path, span: Callable[[int], slice]) -> Sound:
    """Return what ``span`` wants of a sound once it knows how many samples there are."""
    sound = decode_sound(path, slice(0, HELD))
    wanted = span(sound.total)
    if wanted.stop > len(sound.samples):
        return decode_sound(path, wanted)
    return sound._replace(samples=sound.samples[wanted], first=wanted.start)


def decode_sound(path: Path, wanted: slice) -> Sound:
    """Decode a sound to its end, and hold the samples that are wanted."""
    with opened(path) as container:
        if not container.streams.audio:
            raise Missing("no sound", path)
        stream = container.streams.audio[0]
        promised = float((stream.duration or 0) * (stream.time_base or 0))
        held, start, total, finite = [np.zeros(0, np.float32)], None, 0, True
        for time, block in resampled(container, stream):
            start = time if start is None else start
            finite = finite and bool(np.isfinite(block).all())
            if total < wanted.stop and total + len(block) > wanted.start:
                held.append(block[max(0, wanted.start - total) : wanted.stop - total])
            total += len(block)
        check_length(path, total, promised if container.format.name in EXACT else 0.0)
    return Sound(np.concatenate(held), wanted.start, total, start or 0.0, finite)


def resampled(container: InputContainer, stream: AudioStream) -> Iterator[tuple[float, np.ndarray]]:
    """Yield mono sound at 16 kHz block by block, with the time of the frame that it came of.

    Where the clock of the file runs on without sound, as packets were lost or the recorder paused,
    there is silence, so that what comes after is heard at its time.
    """
    resampler = new_resampler()
    time, end = 0.0, None
    for frame in container.decode(stream):
        time = frame.time or 0.0
        end = time if end is None else end
        gap = time - end
        if GAPS[0] < gap < GAPS[1]:
            yield from blocks(resampler, None, time)
            yield time, np.zeros(round(gap * SAMPLE_RATE), np.float32)
            resampler = new_resampler()
        end += frame.samples / frame.sample_rate + (gap if gap > GAPS[0] else 0.0)
        yield from blocks(resampler, frame, time)
    if end is not None:
        yield from blocks(resampler, None, time)


def new_resampler() -> av.AudioResampler:
    """Return what brings frames to 16 kHz; it keeps their channels, and holds a few samples."""
    return av.AudioResampler(format="flt", rate=SAMPLE_RATE)


def blocks(
    resampler: av.AudioResampler, frame: av.AudioFrame | None, time: float
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield what a frame makes available, or without one what is left."""
    for block in resampler.resample(frame):
        yield time, mixed(block)


def mixed(block: av.AudioFrame) -> Float32[np.ndarray, "samples"]:
    """Return the mean of all channels; FFmpeg's own mix would be louder than each of them."""
    return block.to_ndarray().reshape(-1, block.layout.nb_channels).mean(axis=1)


def check_length(path: Path, samples: int, promised: float) -> None:
    """Refuse a sound that is empty or much shorter than the promised seconds."""
    seconds = samples / SAMPLE_RATE
    if not samples:
        raise Unreadable("empty sound track", path)
    if seconds < 0.9 * promised - 0.1:
        raise Unreadable("truncated", path, f"{seconds:.2f} s of {promised:.2f} s")
