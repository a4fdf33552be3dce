"""Sound out of any file that FFmpeg can open, and the samples that are kept of it."""

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
from avfusion.features.clock import JOINABLE, LONGEST, Clock, demux, read_clock, rejoin
from avfusion.features.contract import AudioFrames
from avfusion.features.header import avi_seconds, is_cut_riff, mp3_seconds, ogg_end, read_header
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.policies import Policies
from avfusion.features.source import Missing, Unreadable, opened

HELD = 900 * SAMPLE_RATE  # samples; of a longer sound only what is wanted is held in memory
# Seconds without sound in the middle of a track that are filled with silence. Less may be rounding
# or a clock that drifts, more is a clock that jumped (a recording joined to another one).
GAPS = (0.1, LONGEST)
# A shorter gap is a lost packet where it is as long as one, and stays for some frames more: times
# of arrival, which live recordings have, run ahead and fall back again.
STAYS = 6  # frames
SHORTEST = 0.01  # seconds
DTX = 3  # bytes; after such a packet Opus sends none while nobody speaks
# Containers whose header states the true length of a track to the sample, or nearly so, and those
# that state it for all tracks together; others only estimate it. Seconds of tolerance.
EXACT = {
    "flac": 0.01,
    "nistsphere": 0.01,
    "wv": 0.01,
    "tta": 0.01,
    "mov,mp4,m4a,3gp,3g2,mj2": 0.1,  # the padding of encoders
    "mp3": 0.03,
    "avi": 0.01,
    "ogg": 0.1,  # what Opus skips at the start
}
TOGETHER = {"matroska,webm", "flv", "asf"}
CHECKSUMS = {"flac", "wavpack", "tta", "ac3", "eac3"}  # codecs whose sums tell what is damaged
CONSTANT = ("mp1", "mp2", "mp3", "ac3", "eac3")  # codecs whose packets may all have one size
SLACK = 4  # bytes, by which those differ
# Float samples beyond full scale: somewhat is taken for a loud recording and lowered, more for
# samples on the scale of integers.
LOUD, LOUDEST = 2.0, 16.0
INTEGERS = (16, 24, 32)  # bits
OPPOSITE = 0.1  # of the energy that unrelated channels have when mixed; less is cancelled


class Sound(NamedTuple):
    """Mono sound at 16 kHz in [-1, 1]: some ``samples`` of ``total``, from ``first`` on.

    ``start`` is the time in seconds, on the clock of the file, at which the whole sound starts;
    ``finite`` says that none of its samples is infinite or not a number. Of ``promised`` seconds
    some are ``lost``, as they could not be decoded: silence is in their place, or the sound ends
    earlier. ``notes`` say what else was done to it.
    """

    samples: Float32[np.ndarray, "samples"]
    first: int
    total: int
    start: float
    finite: bool
    lost: float = 0.0
    promised: float = 0.0
    notes: tuple[str, ...] = ()


def read_sound(path: Path, span: Callable[[int], slice]) -> Sound:
    """Return what ``span`` wants of a sound once it knows how many samples there are."""
    sound = decode_sound(path, slice(0, HELD))
    wanted = span(sound.total)
    if wanted.stop > len(sound.samples):
        return decode_sound(path, wanted)
    return sound._replace(samples=sound.samples[wanted], first=wanted.start)


def decode_sound(path: Path, wanted: slice) -> Sound:
    """Decode a sound to its end, and hold the samples that are wanted.

    Channels are averaged. Where that would cancel them, the loudest one is taken alone.

    Raises:
        Missing: there is no sound track.
        Unreadable: nothing of it can be decoded.
    """
    mixer = Mixer(None)
    sound = _decode(path, mixer, wanted)
    channel = mixer.alone()
    if channel is None:
        return sound
    sound = _decode(path, Mixer(channel), wanted)
    note = f"channels in opposite phase: number {channel + 1} taken alone"
    return sound._replace(notes=(note, *sound.notes))


def _decode(path: Path, mixer: "Mixer", wanted: slice) -> Sound:
    held, start, total, finite, peak = [np.zeros(0, np.float32)], None, 0, True, 0.0
    with opened(path) as container:
        stream = sound_track(container, path)
        joinable = container.format.name in JOINABLE
        decoder = Decoder(container, stream, read_clock(path) if joinable else Clock({}))
        for time, block in resampled(decoder, mixer):
            start = time if start is None else start
            known = np.isfinite(block)
            finite = finite and bool(known.all())
            peak = max(peak, float(np.abs(block).max(initial=0.0, where=known)))
            if total < wanted.stop and total + len(block) > wanted.start:
                held.append(block[max(0, wanted.start - total) : wanted.stop - total])
            total += len(block)
        if not total:
            raise decoder.error or Unreadable("empty sound track", path)
        seconds, codec = total / SAMPLE_RATE, stream.codec_context
        end = max(decoder.failed, missing_end(path, container, stream, decoder, seconds))
        is_float = codec.format.name.startswith(("flt", "dbl")) and codec.codec.lossless
        scale, notes = full_scale(path, peak) if is_float else (1.0, ())
    samples = np.concatenate(held)
    return Sound(
        samples=samples if scale == 1 else samples / np.float32(scale),
        first=wanted.start,
        total=total,
        start=start or 0.0,
        finite=finite,
        lost=decoder.lost + (end or decoder.partial),
        promised=seconds + decoder.before + end,
        notes=notes,
    )


def sound_track(container: InputContainer, path: Path) -> AudioStream:
    """Return the sound track that players take: the one flagged as default, else the first."""
    tracks = container.streams.audio
    if not tracks:
        raise Missing("no sound", path)
    usable = [track for track in tracks if track.codec_context is not None]
    if not usable:
        raise Unreadable("no decoder for its sound", path)
    special = Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.comment
    flagged = [track for track in usable if track.disposition & Disposition.default]
    plain = [track for track in usable if not track.disposition & special]
    return (flagged or plain or usable)[0]


class Decoder:
    """The frames of a sound track in their order, whatever is damaged between them.

    Seconds that could not be decoded are ``lost``; those of them ``before`` the first frame, and
    those that have ``failed`` since the last one, are in no gap between frames; the last one is
    ``partial``. ``error`` is the
    first of a decoder's errors, and ``end`` the second on the clock of the file at which the
    packets of all streams have ended; the last of them is shifted by ``shift``.
    """

    def __init__(self, container: InputContainer, stream: AudioStream, clock: Clock) -> None:
        self.stream = stream
        self.lost = self.before = self.failed = self.partial = self.end = 0.0
        self.error: Exception | None = None
        self.together = container.format.name in TOGETHER
        if stream.codec_context.name in CHECKSUMS:
            stream.codec_context.options = {"err_detect": "crccheck+explode"}
        self.timed = self.together or container.format.name == "ogg"
        streams = [
            other.index
            for other in container.streams
            if other is stream or (self.together and other.type in ("audio", "video"))
        ]
        self.packets = rejoin(demux(container, streams), clock)
        joints, shifts = clock.shifts.get(stream.index, ([0], [0.0]))
        self.joints, self.shift = set(joints[1:]), shifts[-1]

    def frames(self) -> Iterator[tuple[av.AudioFrame, float, bool]]:
        """Yield frames, the seconds that failed before each, and if a gap before it is meant."""
        codec = self.stream.codec_context.name
        opus = codec == "opus"
        meant, first, length = False, True, 0.0
        sizes, last = (math.inf, 0), 0  # of all packets but the last, and of that
        for number, packet in enumerate(self._own_packets()):
            if packet.size:
                sizes = (min(sizes[0], last), max(sizes[1], last)) if last else sizes
                last = packet.size
            meant = meant or number in self.joints
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self.error = self.error or error
                if is_header(packet):
                    meant = True
                elif packet.size:
                    self.failed += _seconds(packet) or length
                continue
            for frame in frames:
                if not isinstance(frame, av.AudioFrame):
                    continue
                if first:
                    first, self.before, self.lost, self.failed = (
                        False,
                        self.failed,
                        self.failed,
                        0.0,
                    )
                failed, self.failed = self.failed, 0.0
                yield frame, failed, meant
                meant, length = False, frame.samples / frame.sample_rate
            if packet.size:
                self.lost += self.partial
                self.partial = length if packet.is_corrupt else 0.0
            meant = meant or (opus and 0 < packet.size <= DTX)
        constant = codec.startswith(CONSTANT) and sizes[1] - sizes[0] <= SLACK
        if constant and last < sizes[0] - SLACK and not self.failed:
            self.partial = length  # decoders fill up what a cut packet lacks

    def _own_packets(self) -> Iterator[Packet]:  # type: ignore[type-arg]
        for packet in self.packets:
            if self.timed and packet.pts is not None and packet.time_base is not None:
                self.end = max(self.end, float(packet.pts * packet.time_base) + _seconds(packet))
            if packet.stream.index == self.stream.index:
                yield packet


def _seconds(packet: Packet) -> float:  # type: ignore[type-arg]
    return float((packet.duration or 0) * (packet.time_base or 0))


def is_header(packet: Packet) -> bool:  # type: ignore[type-arg]
    """Say whether a packet is the first frame of an MP3 joined to another: it holds no sound."""
    start = bytes(packet)[:256]
    return b"Xing" in start or b"Info" in start


def resampled(decoder: Decoder, mixer: "Mixer") -> Iterator[tuple[float, np.ndarray]]:
    """Yield mono sound at 16 kHz block by block, with the time of the frame that it came of.

    Where the clock of the file runs on without sound, as packets were lost or the recorder paused,
    there is silence, so that what comes after is heard at its time.
    """
    resampler, kind, time = new_resampler(), None, 0.0
    for time, gap, frame in timed(decoder):
        own = (frame.format.name, frame.layout.name, frame.sample_rate)
        if gap or kind not in (None, own):  # joined recordings may differ in rate or channels
            yield from blocks(resampler, None, time, mixer)
            resampler = new_resampler()
        if gap:
            yield time, np.zeros(round(gap * SAMPLE_RATE), np.float32)
        kind = own
        yield from blocks(resampler, frame, time, mixer)
    if kind is not None:
        yield from blocks(resampler, None, time, mixer)


def timed(decoder: Decoder) -> Iterator[tuple[float, float, av.AudioFrame]]:
    """Yield frames with their times and the seconds of silence before each, to be counted."""
    frames = decoder.frames()
    ahead = deque(islice(frames, STAYS))
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
            small = gap < SHORTEST and not failed
            if small or (
                gap < GAPS[0] and not is_step(gap, late, length, failed, end, frame, ahead)
            ):
                late, gap = gap, 0.0
        filled = gap if gap < GAPS[1] else 0.0
        if not meant:
            decoder.lost += filled or failed
        length = frame.samples / frame.sample_rate
        end = (end or 0.0) + length + gap
        late = 0.0 if gap else late
        yield time, filled, frame


def is_step(
    gap: float,
    late: float,
    length: float,
    failed: float,
    end: float,
    frame: av.AudioFrame,
    ahead: Iterable[tuple[av.AudioFrame, float, bool]],
) -> bool:
    """Say whether a short gap is what a lost packet leaves.

    ``late`` is the gap before the frame before, of ``length`` seconds, which was left as it was;
    the sound so far reaches ``end``.
    """
    if failed and gap > failed / 2:
        return True
    least = max(SHORTEST, 0.75 * length) + max(0.0, late)
    if gap < least:
        return False
    end += frame.samples / frame.sample_rate
    for later, _, _ in ahead:
        if later.time is None or later.time - end < least:
            return False
        end += later.samples / later.sample_rate
    return True


def new_resampler() -> av.AudioResampler:
    """Return what brings frames to 16 kHz; it keeps their channels, and holds a few samples."""
    return av.AudioResampler(format="flt", rate=SAMPLE_RATE)


def blocks(
    resampler: av.AudioResampler, frame: av.AudioFrame | None, time: float, mixer: "Mixer"
) -> Iterator[tuple[float, np.ndarray]]:
    """Yield what a frame makes available, or without one what is left."""
    for block in resampler.resample(frame):
        yield time, mixer(block.to_ndarray().reshape(-1, block.layout.nb_channels))


class Mixer:
    """The mean of all channels, or one channel alone.

    FFmpeg's own mix would be louder than each channel.
    """

    def __init__(self, channel: int | None) -> None:
        self.channel = channel
        self.together = 0.0
        self.each = np.zeros(0)

    def __call__(
        self, channels: Float32[np.ndarray, "samples channels"]
    ) -> Float32[np.ndarray, "samples"]:
        """Return one channel, and remember the energies."""
        count = channels.shape[1]
        if self.channel is not None:
            return channels[:, min(self.channel, count - 1)]
        mixed = channels.mean(axis=1)
        if count > len(self.each):
            self.each = np.append(self.each, np.zeros(count - len(self.each)))
        if count > 1:
            known = np.nan_to_num(channels, posinf=0.0, neginf=0.0)
            self.each[:count] += np.einsum("ij,ij->j", known, known)
            self.together += float(np.square(known.mean(axis=1)).sum())
        return mixed

    def alone(self) -> int | None:
        """Return the channel to take alone, None where mixing them loses little."""
        count = len(self.each)
        if count < 2 or self.together >= OPPOSITE * self.each.sum() / count**2:
            return None
        return int(self.each.argmax())


def full_scale(path: Path, peak: float) -> tuple[float, tuple[str, ...]]:
    """Return what float samples of a peak are to be divided by, and what to say of it."""
    if peak <= LOUD:
        return 1.0, ()
    if peak <= LOUDEST:
        return peak, (f"louder than full scale: lowered by {20 * np.log10(peak):.0f} dB",)
    for bits in INTEGERS:
        if peak <= 1.25 * 2 ** (bits - 1):  # resampling may overshoot
            return 2.0 ** (bits - 1), (f"float samples on the scale of {bits}-bit integers",)
    raise Unreadable("float samples beyond any scale", path, f"peak {peak:.3g}")


def missing_end(
    path: Path, container: InputContainer, stream: AudioStream, decoder: Decoder, seconds: float
) -> float:
    """Return the seconds by which a sound ends earlier than its file promises."""
    name, at_most = container.format.name, math.inf
    promised, tolerance = float((stream.duration or 0) * (stream.time_base or 0)), EXACT.get(name)
    header = read_header(path)
    if header is not None:
        promised, tolerance = seconds * (1 + header.missing), 0.01
    elif name in TOGETHER:
        promised = (container.duration or 0) / av.time_base - decoder.end + seconds
        tolerance = 0.25 + 0.02 * seconds
    elif name == "ogg" and len(container.streams) == 1 and stream.rate:
        promised = ogg_end(path, stream.rate) + decoder.shift - decoder.end + seconds
    elif name == "mp3":
        promised = mp3_seconds(path) or 0.0
    elif name == "avi":
        promised = avi_seconds(path, container.streams.audio.index(stream))
        # Headers of some writers are wrong, and not to be trusted where the file is whole.
        at_most = math.inf if is_cut_riff(path) else seconds
    missing = promised - seconds
    return missing if tolerance is not None and tolerance < missing < at_most else 0.0


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
