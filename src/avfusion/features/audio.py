"""Sound of any file that FFmpeg can open, and the samples that are kept of it.

FFmpeg decodes and resamples. What is here finds out what a file promises and does not hold: lost
packets, gaps, a missing end, channels that cancel each other, samples beyond full scale.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from jaxtyping import Float32

from avfusion.corpora.recording import Recording
from avfusion.features.container import (
    MAX_GAP,
    Clock,
    demux,
    open_media,
    read_clock,
    rejoin_packets,
)
from avfusion.features.contract import AudioFrames
from avfusion.features.fingerprints import fingerprint_sound
from avfusion.features.header import (
    is_cut_riff,
    read_avi_length,
    read_header,
    read_mp3_length,
    read_ogg_end,
)
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.policies import Missing, Policies, Unreadable

MAX_SAMPLES = 900 * SAMPLE_RATE  # in memory; of a longer sound only what is wanted is held
# Seconds without sound in the middle of a track that are filled with silence. Less may be rounding
# or a clock that drifts, more is a clock that jumped (a recording joined to another one).
MIN_FILLED_GAP, MAX_FILLED_GAP = 0.1, MAX_GAP
# A shorter gap is a lost packet where it is as long as one, and stays for some frames more: times
# of arrival, which live recordings have, run ahead and fall back again.
GAP_FRAMES = 6
MIN_GAP = 0.01  # seconds
MAX_DTX_BYTES = 3  # of a packet after which Opus sends none while nobody speaks
# Containers whose header states the true length of a track to the sample, or nearly so, and those
# that state it for all tracks together; others only estimate it. Seconds of tolerance.
LENGTH_TOLERANCES = {
    "flac": 0.01,
    "nistsphere": 0.01,
    "wv": 0.01,
    "tta": 0.01,
    "mov,mp4,m4a,3gp,3g2,mj2": 0.1,  # the padding of encoders
    "mp3": 0.03,
    "avi": 0.01,
    "ogg": 0.1,  # what Opus skips at the start
}
TOTAL_LENGTH_FORMATS = {"matroska,webm", "flv", "asf"}
CHECKSUM_CODECS = {"flac", "wavpack", "tta", "ac3", "eac3"}  # checksums reveal what is damaged
CONSTANT_SIZE_CODECS = ("mp1", "mp2", "mp3", "ac3", "eac3")  # all packets may have one size
SIZE_TOLERANCE = 4  # bytes, by which those differ
# Float samples beyond full scale: somewhat is taken for a loud recording and lowered, more for
# samples on the scale of integers.
MAX_UNSCALED_PEAK, MAX_LOUD_PEAK = 2.0, 16.0
INTEGER_BITS = (16, 24, 32)
CANCELLATION_RATIO = 0.1  # of the energy that unrelated channels have when mixed; less is cancelled


class AudioSamples(NamedTuple):
    """Mono sound at 16 kHz in [-1, 1]: some ``samples`` of ``total``, from ``first`` on.

    ``start`` is the time in seconds, on the clock of the file, at which the whole sound starts;
    ``finite`` says that none of its samples is infinite or not a number. Of ``promised`` seconds
    some are ``lost``, as they could not be decoded: silence is in their place, or the sound ends
    earlier. ``notes`` say what else was done to it. A ``silent`` sound cannot be used. The
    ``fingerprint`` is that of the whole sound, as far as it was decoded at once.
    """

    samples: Float32[np.ndarray, "samples"]
    first: int
    total: int
    start: float
    finite: bool
    lost: float = 0.0
    promised: float = 0.0
    notes: tuple[str, ...] = ()
    silent: bool = False
    fingerprint: bytes | None = None


def read_audio(
    recording: Recording, features: AudioFrames, policies: Policies, notes: list[str]
) -> AudioSamples | None:
    """Read the samples that are kept of a recording's sound, as whole numbers of 16 bits.

    None where it has no sound and may be kept without; ``notes`` are added to.

    Raises:
        Unreadable: where the sound cannot be used, or its policy is not to.
    """
    path = recording.sound_source
    try:
        if path is None:
            raise Missing("no sound", recording.sources[0])
        sound = _decode_kept(path, recording.window, features)
    except Missing as missing:
        if recording.audio_features is None:
            policies.apply("missing", missing)
            notes.append(missing.reason)
        return None
    policies.apply_to_loss(sound.lost, sound.promised, path, notes)
    notes.extend(sound.notes)

    samples = sound.samples
    if not sound.finite:
        policies.apply("not_finite", Unreadable("samples that are not finite", path))
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
        notes.append("samples that are not finite replaced by silence")
    if len(samples) < features.window:
        milliseconds = f"{1000 * len(samples) / SAMPLE_RATE:.0f} ms"
        policies.apply("too_short", Unreadable("too short", path, milliseconds))

    samples = (samples.clip(-1, 1) * (2**15 - 1)).round()
    energy = 10 * np.log10(max(np.square(samples / 2**15).mean(dtype=np.float64), 1e-20))
    silent = bool(energy < features.silence_dbfs)
    if silent:
        policies.apply("silent", Unreadable("silent", path, f"energy {energy:.0f} dBFS"))
        notes.append("silent")
    return sound._replace(samples=samples, silent=silent)


def _decode_kept(path: Path, window: tuple[int, int] | None, features: AudioFrames) -> AudioSamples:
    if window is None:
        return decode_crop(path, features.span)
    first, end = window
    start = first - first % MAX_SAMPLES  # neighbors share what is decoded
    stretch = _decode_stretch(path, start)
    samples = stretch.samples[first - start : end - start]
    finite, fingerprint = bool(np.isfinite(samples).all()), fingerprint_sound(samples)
    return stretch._replace(samples=samples, first=first, finite=finite, fingerprint=fingerprint)


@lru_cache(maxsize=1)
def _decode_stretch(path: Path, start: int) -> AudioSamples:
    """Decode a stretch of a long sound, with as much of the next one as a window may need."""
    return decode_audio(path, slice(start, start + 2 * MAX_SAMPLES))


def decode_crop(path: Path, crop: Callable[[int], slice]) -> AudioSamples:
    """Decode what ``crop`` wants of a sound once it knows how many samples there are.

    Raises:
        Missing: there is no sound track.
        Unreadable: nothing of it can be decoded.
    """
    sound = decode_audio(path, slice(0, MAX_SAMPLES))
    sound = sound._replace(fingerprint=fingerprint_sound(sound.samples))
    wanted = crop(sound.total)
    if wanted.stop > len(sound.samples):
        return decode_audio(path, wanted)._replace(fingerprint=sound.fingerprint)
    return sound._replace(samples=sound.samples[wanted], first=wanted.start)


def decode_audio(path: Path, wanted: slice) -> AudioSamples:
    """Decode a sound to its end, and hold the samples that are wanted.

    Channels are averaged. Where that would cancel them, the loudest one is taken alone.

    Raises:
        Missing: there is no sound track.
        Unreadable: nothing of it can be decoded.
    """
    mixer = ChannelMixer(None)
    sound = _decode_mixed(path, mixer, wanted)
    channel = mixer.loudest_if_cancelled()
    if channel is None:
        return sound

    sound = _decode_mixed(path, ChannelMixer(channel), wanted)
    note = f"channels in opposite phase: number {channel + 1} taken alone"
    return sound._replace(notes=(note, *sound.notes))


def _decode_mixed(path: Path, mixer: "ChannelMixer", wanted: slice) -> AudioSamples:
    kept, start, total, finite, peak = [np.zeros(0, np.float32)], None, 0, True, 0.0
    with open_media(path) as container:
        stream = _select_track(container, path)
        clock = read_clock(path, container.format.name)
        decoder = AudioDecoder(container, stream, clock)

        for time, block in _resample(decoder, mixer):
            start = time if start is None else start
            is_finite = np.isfinite(block)
            finite = finite and bool(is_finite.all())
            peak = max(peak, float(np.abs(block).max(initial=0.0, where=is_finite)))
            if total < wanted.stop and total + len(block) > wanted.start:
                kept.append(block[max(0, wanted.start - total) : wanted.stop - total])
            total += len(block)
        if not total:
            raise decoder.error or Unreadable("empty sound track", path)

        seconds, codec = total / SAMPLE_RATE, stream.codec_context
        missing = _measure_missing_end(path, container, stream, decoder, seconds)
        end = max(decoder.failed, missing)
        is_float = codec.format.name.startswith(("flt", "dbl")) and codec.codec.lossless
        scale, notes = _find_full_scale(path, peak) if is_float else (1.0, ())

    samples = np.concatenate(kept)
    return AudioSamples(
        samples=samples if scale == 1 else samples / np.float32(scale),
        first=wanted.start,
        total=total,
        start=start or 0.0,
        finite=finite,
        lost=decoder.lost + (end or decoder.partial),
        promised=seconds + decoder.before + end,
        notes=notes,
    )


def _select_track(container: InputContainer, path: Path) -> AudioStream:
    """The sound track that players take: the one flagged as default, else the first."""
    tracks = container.streams.audio
    if not tracks:
        raise Missing("no sound", path)
    usable = [track for track in tracks if track.codec_context is not None]
    if not usable:
        raise Unreadable("no decoder for its sound", path)

    special = Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.comment
    default = [track for track in usable if track.disposition & Disposition.default]
    plain = [track for track in usable if not track.disposition & special]
    return (default or plain or usable)[0]


class AudioDecoder:
    """Decoder of a sound track, whose frames come in their order whatever is damaged between them.

    Seconds that could not be decoded are ``lost``; those of them ``before`` the first frame, and
    those that have ``failed`` since the last one, are in no gap between frames; the last one is
    ``partial``. ``error`` is the first of a decoder's errors, and ``end`` the second on the clock
    of the file at which the packets of all streams have ended; the last of them is shifted by
    ``shift``.
    """

    def __init__(self, container: InputContainer, stream: AudioStream, clock: Clock) -> None:
        self.stream = stream
        self.lost = self.before = self.failed = self.partial = self.end = 0.0
        self.error: Exception | None = None
        if stream.codec_context.name in CHECKSUM_CODECS:
            stream.codec_context.options = {"err_detect": "crccheck+explode"}

        has_total_length = container.format.name in TOTAL_LENGTH_FORMATS
        self._measures_end = has_total_length or container.format.name == "ogg"
        streams = [
            other.index
            for other in container.streams
            if other is stream or (has_total_length and other.type in ("audio", "video"))
        ]
        self._packets = rejoin_packets(demux(container, streams), clock)
        joints, shifts = clock.shifts.get(stream.index, ([0], [0.0]))
        self._joints, self.shift = set(joints[1:]), shifts[-1]

    def decode(self) -> Iterator[tuple[av.AudioFrame, float, bool]]:
        """Yield frames, the seconds that failed before each, and if a gap before it is meant."""
        codec = self.stream.codec_context.name
        opus = codec == "opus"
        meant, first, length = False, True, 0.0
        sizes, last = (math.inf, 0), 0  # of all packets but the last, and of that

        for number, packet in enumerate(self._own_packets()):
            if packet.size:
                sizes = (min(sizes[0], last), max(sizes[1], last)) if last else sizes
                last = packet.size
            meant = meant or number in self._joints

            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self.error = self.error or error
                if _is_mp3_header(packet):
                    meant = True
                elif packet.size:
                    self.failed += _seconds(packet) or length
                continue

            for frame in frames:
                if not isinstance(frame, av.AudioFrame):
                    continue
                if first:
                    first = False
                    self.before = self.lost = self.failed
                    self.failed = 0.0
                failed, self.failed = self.failed, 0.0
                yield frame, failed, meant
                meant, length = False, frame.samples / frame.sample_rate

            if packet.size:
                self.lost += self.partial
                self.partial = length if packet.is_corrupt else 0.0
            meant = meant or (opus and 0 < packet.size <= MAX_DTX_BYTES)

        constant = codec.startswith(CONSTANT_SIZE_CODECS) and sizes[1] - sizes[0] <= SIZE_TOLERANCE
        if constant and last < sizes[0] - SIZE_TOLERANCE and not self.failed:
            self.partial = length  # decoders fill up what a cut packet lacks

    def _own_packets(self) -> Iterator[Packet]:  # type: ignore[type-arg]
        for packet in self._packets:
            if self._measures_end and packet.pts is not None and packet.time_base is not None:
                self.end = max(self.end, float(packet.pts * packet.time_base) + _seconds(packet))
            if packet.stream.index == self.stream.index:
                yield packet


def _seconds(packet: Packet) -> float:  # type: ignore[type-arg]
    return float((packet.duration or 0) * (packet.time_base or 0))


def _is_mp3_header(packet: Packet) -> bool:  # type: ignore[type-arg]
    """Whether this is the first frame of an MP3 that is joined to another: it holds no sound."""
    start = bytes(packet)[:256]
    return b"Xing" in start or b"Info" in start


def _resample(decoder: AudioDecoder, mixer: "ChannelMixer") -> Iterator[tuple[float, np.ndarray]]:
    """Yield mono sound at 16 kHz block by block, with the time of the frame that it came of.

    Where the clock of the file runs on without sound, as packets were lost or the recorder paused,
    there is silence, so that what comes after is heard at its time.
    """
    resampler, layout, time = _new_resampler(), None, 0.0
    for time, gap, frame in _fill_gaps(decoder):
        own = (frame.format.name, frame.layout.name, frame.sample_rate)
        if gap or layout not in (None, own):  # joined recordings may differ in rate or channels
            yield from _resample_frame(resampler, None, time, mixer)
            resampler = _new_resampler()
        if gap:
            yield time, np.zeros(round(gap * SAMPLE_RATE), np.float32)
        layout = own
        yield from _resample_frame(resampler, frame, time, mixer)

    if layout is not None:
        yield from _resample_frame(resampler, None, time, mixer)


def _new_resampler() -> av.AudioResampler:
    """To 16 kHz; it keeps all channels, and holds a few samples."""
    return av.AudioResampler(format="flt", rate=SAMPLE_RATE)


def _resample_frame(
    resampler: av.AudioResampler,
    frame: av.AudioFrame | None,
    time: float,
    mixer: "ChannelMixer",
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield what a frame makes available, or without one what is left."""
    for block in resampler.resample(frame):
        yield time, mixer(block.to_ndarray().reshape(-1, block.layout.nb_channels))


def _fill_gaps(decoder: AudioDecoder) -> Iterator[tuple[float, float, av.AudioFrame]]:
    """Yield frames with their times and the seconds of silence before each, to be counted."""
    frames = decoder.decode()
    ahead = deque(islice(frames, GAP_FRAMES))
    end, late, length = None, 0.0, 0.0

    while ahead:
        frame, failed, meant = ahead.popleft()
        ahead.extend(islice(frames, 1))

        time = frame.time
        if time is None:
            gap = failed if end is not None else 0.0
            time = (end or 0.0) + gap
        else:
            end = time if end is None else end
            gap = time - end
            small = gap < MIN_GAP and not failed
            if small or (
                gap < MIN_FILLED_GAP
                and not _is_lost_packet(gap, late, length, failed, end, frame, ahead)
            ):
                late, gap = gap, 0.0

        filled = gap if gap < MAX_FILLED_GAP else 0.0
        if not meant:
            decoder.lost += filled or failed
        length = frame.samples / frame.sample_rate
        end = (end or 0.0) + length + gap
        late = 0.0 if gap else late
        yield time, filled, frame


def _is_lost_packet(
    gap: float,
    late: float,
    length: float,
    failed: float,
    end: float,
    frame: av.AudioFrame,
    ahead: Iterable[tuple[av.AudioFrame, float, bool]],
) -> bool:
    """Whether a short gap was left by a lost packet.

    ``late`` is the gap before the frame before, of ``length`` seconds, which was left as it was;
    the sound so far reaches ``end``.
    """
    if failed and gap > failed / 2:
        return True
    shortest = max(MIN_GAP, 0.75 * length) + max(0.0, late)
    if gap < shortest:
        return False

    end += frame.samples / frame.sample_rate
    for later, _, _ in ahead:
        if later.time is None or later.time - end < shortest:
            return False
        end += later.samples / later.sample_rate
    return True


class ChannelMixer:
    """Mean of all channels, or one channel alone; FFmpeg's own mix would be louder than each."""

    def __init__(self, channel: int | None) -> None:
        self.channel = channel
        self._mixed_energy = 0.0
        self._energies = np.zeros(0)  # of each channel

    def __call__(
        self, channels: Float32[np.ndarray, "samples channels"]
    ) -> Float32[np.ndarray, "samples"]:
        """Mix a block to one channel, and remember its energies."""
        count = channels.shape[1]
        if self.channel is not None:
            return channels[:, min(self.channel, count - 1)]

        mixed = channels.mean(axis=1)
        if count > len(self._energies):
            self._energies = np.append(self._energies, np.zeros(count - len(self._energies)))
        if count > 1:
            finite = np.nan_to_num(channels, posinf=0.0, neginf=0.0)
            self._energies[:count] += np.einsum("ij,ij->j", finite, finite)
            self._mixed_energy += float(np.square(finite.mean(axis=1)).sum())
        return mixed

    def loudest_if_cancelled(self) -> int | None:
        """The loudest channel, None where mixing them loses little."""
        count = len(self._energies)
        if count < 2 or self._mixed_energy >= CANCELLATION_RATIO * self._energies.sum() / count**2:
            return None
        return int(self._energies.argmax())


def _find_full_scale(path: Path, peak: float) -> tuple[float, tuple[str, ...]]:
    """Find the divisor of float samples of a peak, and notes about it."""
    if peak <= MAX_UNSCALED_PEAK:
        return 1.0, ()
    if peak <= MAX_LOUD_PEAK:
        return peak, (f"louder than full scale: lowered by {20 * np.log10(peak):.0f} dB",)
    for bits in INTEGER_BITS:
        if peak <= 1.25 * 2 ** (bits - 1):  # resampling may overshoot
            return 2.0 ** (bits - 1), (f"float samples on the scale of {bits}-bit integers",)
    raise Unreadable("float samples beyond any scale", path, f"peak {peak:.3g}")


def _measure_missing_end(
    path: Path,
    container: InputContainer,
    stream: AudioStream,
    decoder: AudioDecoder,
    seconds: float,
) -> float:
    """Seconds by which a sound of so many ``seconds`` ends earlier than its file promises."""
    name, at_most = container.format.name, math.inf
    promised = float((stream.duration or 0) * (stream.time_base or 0))
    tolerance = LENGTH_TOLERANCES.get(name)
    header = read_header(path)

    if header is not None:
        promised, tolerance = seconds * (1 + header.missing), 0.01
    elif name in TOTAL_LENGTH_FORMATS:
        promised = (container.duration or 0) / av.time_base - decoder.end + seconds
        tolerance = 0.25 + 0.02 * seconds
    elif name == "ogg" and len(container.streams) == 1 and stream.rate:
        promised = read_ogg_end(path, stream.rate) + decoder.shift - decoder.end + seconds
    elif name == "mp3":
        promised = read_mp3_length(path) or 0.0
    elif name == "avi":
        promised = read_avi_length(path, container.streams.audio.index(stream))
        # Headers of some writers are wrong, and not to be trusted where the file is whole.
        at_most = math.inf if is_cut_riff(path) else seconds

    missing = promised - seconds
    return missing if tolerance is not None and tolerance < missing < at_most else 0.0
