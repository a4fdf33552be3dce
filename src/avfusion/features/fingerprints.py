"""Fingerprints of sounds and of pictures, by which copies are found that are not the same bytes.

Both are 256 bits, of which copies share almost all, and other recordings about half.
"""

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from avfusion.features.mfcc import SAMPLE_RATE

SIDE = 16  # a fingerprint has as many bits in each of two directions
SILENCE_RATIO = 0.05  # of the largest sample: what is before and after is silence
MIN_SAMPLES = SAMPLE_RATE // 10  # of sound; less could be anything
MAX_SAMPLES = 60 * SAMPLE_RATE  # of a long sound its first minute will do
LOWEST, HIGHEST = 100.0, 4000.0  # Hz, of the bands
MIN_CONTRAST = 4.0  # standard deviation of gray levels; of less, rounding would decide


def fingerprint_sound(samples: Float32[np.ndarray, "samples"]) -> bytes | None:
    """Fingerprint a sound, whatever its gain and the silence around it; None where it is silent.

    Signs of differences of energy along time and frequency, as Haitsma and Kalker, 2002, take them
    (https://ismir2002.ircam.fr/proceedings/02-FP04-2.pdf), over 17 equal parts of the sound.
    """
    loud = np.flatnonzero(np.abs(samples) > SILENCE_RATIO * np.abs(samples).max(initial=0.0))
    if not len(loud) or loud[-1] - loud[0] < MIN_SAMPLES:
        return None

    sound = samples[loud[0] : loud[-1] + 1][:MAX_SAMPLES].astype(np.float64)
    edges = np.geomspace(LOWEST, HIGHEST, SIDE + 2)
    energies = np.empty((SIDE + 1, SIDE + 1))
    for part, piece in enumerate(np.array_split(sound, SIDE + 1)):
        power = np.abs(np.fft.rfft(piece)) ** 2
        bounds = np.searchsorted(np.fft.rfftfreq(len(piece), 1 / SAMPLE_RATE), edges)
        sums = np.concatenate([[0.0], np.cumsum(power)])
        energies[part] = sums[bounds[1:]] - sums[bounds[:-1]]
    return _pack(np.diff(np.diff(energies, axis=0), axis=1) > 0)


def fingerprint_picture(picture: UInt8[np.ndarray, "height width 3"]) -> bytes | None:
    """Fingerprint a picture, whatever its size and brightness; None where it shows nothing.

    Which of the lowest frequencies are above their median: pHash (Zauner, 2010), as ImageHash
    computes it with a hash size of 16.
    """
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if gray.std() < MIN_CONTRAST:
        return None
    small = cv2.resize(gray, (4 * SIDE, 4 * SIDE), interpolation=cv2.INTER_AREA)
    lowest = cv2.dct(small.astype(np.float32))[:SIDE, :SIDE]
    return _pack(lowest > np.median(lowest))


def _pack(bits: np.ndarray) -> bytes:
    return np.packbits(bits).tobytes()
