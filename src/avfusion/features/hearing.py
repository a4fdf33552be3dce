"""What is kept of the sound of a recording."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avfusion.corpora.recording import Recording
from avfusion.features.contract import AudioFrames
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.policies import Policies
from avfusion.features.sound import HELD, Sound, decode_sound, read_sound
from avfusion.features.source import Missing


class Heard(NamedTuple):
    """The part of a sound that counts, in units of 16 bits; a silent one is of no use."""

    sound: Sound
    silent: bool


def hear(
    recording: Recording, audio: AudioFrames, policies: Policies, notes: list[str]
) -> Heard | None:
    """Return the sound that is kept, None where there is none at all."""
    path = recording.sound_source
    try:
        if path is None:
            raise Missing("no sound", recording.sources[0])
        sound = read(path, recording.window, audio)
    except Missing as missing:
        policies.judge("missing", missing)
        notes.append(missing.reason)
        return None
    policies.meet_loss(sound.lost, sound.promised, path, notes)
    notes.extend(sound.notes)
    samples = sound.samples
    if not sound.finite:
        policies.meet("not_finite", "samples that are not finite", path)
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        notes.append("samples that are not finite replaced by silence")
    if len(samples) < audio.window:
        milliseconds = f"{1000 * len(samples) / SAMPLE_RATE:.0f} ms"
        policies.meet("too_short", "too short", path, milliseconds)
    samples = (samples.clip(-1, 1) * (2**15 - 1)).round()
    energy = 10 * np.log10(max(np.square(samples / 2**15).mean(dtype=np.float64), 1e-20))
    silent = bool(energy < audio.silence)
    if silent:
        policies.meet("silent", "silent", path, f"energy {energy:.0f} dBFS")
        notes.append("silent")
    return Heard(sound._replace(samples=samples), silent)


def read(path: Path, window: tuple[int, int] | None, audio: AudioFrames) -> Sound:
    """Return the samples of a sound that the settings choose, or those of a window."""
    if window is None:
        return read_sound(path, audio.span)
    first, end = window
    start = first - first % HELD  # neighbours share what is decoded
    held = decode_once(path, start)
    samples = held.samples[first - start : end - start]
    return held._replace(samples=samples, first=first, finite=bool(np.isfinite(samples).all()))


@lru_cache(maxsize=1)
def decode_once(path: Path, start: int) -> Sound:
    """Decode a stretch of a long sound, with as much of the next one as a window may need."""
    return decode_sound(path, slice(start, start + 2 * HELD))
