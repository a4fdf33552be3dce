"""Figure of one clip: what was seen and heard, and where the network looked."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int16, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from avfusion.data.index import ClipRecord
from avfusion.data.store import Store
from avfusion.features.clip import WAVEFORM
from avfusion.features.face import FRAMES
from avfusion.features.mfcc import SAMPLE_RATE, make_mel_filters
from avfusion.figures.style import COLORMAP, COLORS, RIGHT, WRONG, get_line_style
from avfusion.targets import Target


class Peak(NamedTuple):
    """The cell in which a glimpse is largest: the number of the picture, its box and its weight.

    ``cell`` is left, top, width and height in fractions of the picture.
    """

    picture: int
    cell: tuple[float, float, float, float]
    weight: float


class ClipView(NamedTuple):
    """Content of the figure of a clip.

    ``sound`` holds samples at 16 kHz, ``start`` and ``seconds`` say where in the recording it
    begins and how long that is; ``box`` is the speaker's face in fractions of the picture, and
    ``cropped`` says which part of the recording's picture this is; ``right`` says whether the
    answer is, None where that is unknown. ``peaks`` has one for each glimpse, where no whole
    ``glimpses`` are given.
    """

    face: UInt8[Tensor, "pictures 3 height width"]
    answer: str
    clip_id: str
    glimpses: Float[Tensor, "glimpses pictures rows columns"] | None = None
    sound: Int16[np.ndarray, "samples"] | None = None
    box: Float32[np.ndarray, "4"] | None = None
    right: bool | None = None
    cropped: str = "face"
    start: float = 0.0
    seconds: float | None = None
    peaks: Sequence[Peak] = ()


def clip_view(
    store: Store,
    row: int,
    prediction: Float[Tensor, "outputs"],
    glimpses: Float[Tensor, "glimpses pictures rows columns"] | None,
    target: Target,
) -> ClipView:
    """A clip and its prediction, ready to be drawn."""
    clip, face = store.record(row), store.clip(FRAMES, row)
    box, decision = store.boxes[row], target.decide(prediction)
    parts = " | ".join(f"{name} ({value:.2f})" for name, value in decision.parts.items())
    answer = f"predicted: {parts or 'none'}"
    right = target.is_right(decision, clip.label)
    if clip.label:
        verdict = "" if right is None else "   right" if right else "   WRONG"
        answer = f"true: {clip.label_text}   {answer}{verdict}"

    start, seconds = get_audio_span(clip, store.description["features"]["audio"])

    return ClipView(
        face,
        answer,
        clip.clip_id,
        glimpses,
        read_sound(store, row) if store.has_audio[row] else None,
        None if np.isnan(box).any() else box,
        right,
        describe_crop(clip) if store.has_face[row] else "no face",
        start,
        seconds,
    )


def read_sound(store: Store, row: int) -> Int16[np.ndarray, "samples"]:
    """Samples of one clip, at 16 kHz."""
    return store.clip(WAVEFORM, row).numpy()


def get_audio_span(clip: ClipRecord, settings: Mapping[str, Any]) -> tuple[float, float | None]:
    """Begin of a clip's sound in its recording, and length of the recording.

    Both in seconds; the length is None where it is unknown, as is the beginning then.
    ``settings`` are those of the audio features: they say from where a sound is kept.
    """
    kept, total = clip.samples / SAMPLE_RATE, clip.seconds
    if not total or total < kept - 1 / SAMPLE_RATE:
        return 0.0, None
    if clip.window is not None:
        return clip.window.start, total
    if total - kept < 1 / SAMPLE_RATE or settings.get("crop") == "start":
        return 0.0, total
    if settings.get("crop") in ("center", "whole"):
        return (total - kept) / 2, total

    return 0.0, None


def describe_crop(clip: ClipRecord) -> str:
    """Which part of its recording's picture the face of a clip is."""
    if clip.picture_size is None or clip.crop is None:
        return "face"
    width, height = clip.picture_size
    left, top, right, bottom = clip.crop
    if right - left >= max(width, height) - 1:
        return f"whole picture, {width} x {height}"

    return f"face crop {right - left:.0f} x {bottom - top:.0f} of {width} x {height}"


ROW, TOP, BOTTOM = 2.2, 0.85, 0.45  # inches: a picture's row, the title, the axis of time
PICTURE, AUDIO = 2.65, 4.3  # inches across; a scale stands beside a picture
MELS, WINDOW, HOP = 64, 1024, 256  # bands, samples at 16 kHz
DYNAMIC_RANGE = 60  # dB
MAX_NAME_LENGTH = 100  # characters


class Area(NamedTuple):
    """Where something is drawn, in units of its axes, upwards from the lower left corner."""

    left: float
    bottom: float
    width: float
    height: float

    def part(self, left: float, top: float, width: float, height: float) -> "Area":
        """Part of it, given in fractions of it, downwards from the upper left corner."""
        return Area(
            self.left + left * self.width,
            self.bottom + (1 - top - height) * self.height,
            width * self.width,
            height * self.height,
        )

    def fit(self, width: float, height: float) -> "Area":
        """Largest area of this shape in it, at its left and half way up."""
        scale = min(self.width / width, self.height / height)
        bottom = self.bottom + (self.height - scale * height) / 2
        return Area(self.left, bottom, scale * width, scale * height)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top, as matplotlib places an image."""
        return (self.left, self.left + self.width, self.bottom, self.bottom + self.height)


def clip_figure(view: ClipView) -> Figure:
    """Draw a clip's pictures, each glimpse laid over them, its waveform and spectrogram.

    Glimpses at steps of vectors, which have no position in a picture, are drawn over the steps.
    All pictures share one axes, in inches: making axes is what drawing spends its time on.
    """
    glimpses = [] if view.glimpses is None else list(view.glimpses.float())
    has_cells = bool(glimpses) and glimpses[0].shape[1:].numel() > 1
    maps = [None, *glimpses]
    rows, width = len(view.face), PICTURE * len(maps) + AUDIO
    height = ROW * rows + TOP + BOTTOM
    figure = Figure(figsize=(width, height))
    large = min(1.7 * width, 22)  # TensorBoard shows a figure at a third of its size
    for text, size, top in ((view.answer, large, 0.12), (shorten_clip_name(view.clip_id), 8, 0.45)):
        at = (0.5, 1 - top / height)
        figure.text(*at, text, fontsize=size, ha="center", va="top")

    pictures = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    pictures.set_axis_off()
    pictures.set_autoscale_on(False)
    step = (PICTURE * len(maps) - 0.1) / (1.2 * len(maps) - 0.2) * 1.2  # a sixth is left empty
    for column, weights in enumerate(maps):
        left = 0.1 + column * step
        if weights is not None and not has_cells:
            sides = (left / width, BOTTOM / height, step / 1.2 / width, ROW * rows / height)
            draw_steps(figure.add_axes(sides), weights.flatten(), column)
            continue

        heats = [None] * rows if weights is None else list(weights)
        for row, heat in enumerate(heats):
            cell = Area(left, BOTTOM + ROW * (rows - 1 - row), step / 1.2, 0.97 * ROW)
            area = cell.fit(*view.face.shape[:1:-1])
            draw_picture(pictures, view, row, heat, area)
            if heat is not None:
                draw_scale(pictures, heat, area)
            draw_peaks(pictures, view, row, area)
            if not row:
                title = view.cropped if heat is None else f"glimpse {column} (attention per cell)"
                middle, top = area.left + area.width / 2, area.bottom + area.height + 0.07
                pictures.text(middle, top, title, size=9, ha="center", va="bottom")

    draw_audio(
        figure,
        view,
        dict(
            left=(PICTURE * len(maps) + 1.15) / width,
            right=1 - 0.2 / width,
            top=1 - TOP / height,
            bottom=BOTTOM / height,
        ),
    )
    if view.right is not None:
        _frame(figure, view.right)

    return figure


def shorten_clip_name(clip_id: str) -> str:
    """End of a path that is too long for the figure, with a sign that it is one."""
    return clip_id if len(clip_id) <= MAX_NAME_LENGTH else f"...{clip_id[-MAX_NAME_LENGTH:]}"


def draw_picture(axes: Axes, view: ClipView, row: int, heat: Tensor | None, area: Area) -> None:
    """Draw one picture with the speaker's box, under a glimpse that is given."""
    axes.imshow(view.face[row].permute(1, 2, 0).numpy(), extent=area.extent)
    if heat is not None:
        heat = heat.cpu().nan_to_num()  # a network that has diverged is drawn, too
        smooth = F.interpolate(heat[None, None], view.face.shape[-2:], mode="bilinear")[0, 0]
        axes.imshow(
            smooth.numpy(),
            cmap=COLORMAP,
            alpha=0.6,
            vmin=0,
            vmax=_find_most(heat),
            extent=area.extent,
        )

    if view.box is not None:
        left, top, right, bottom = view.box.tolist()
        _frame_part(axes, area.part(left, top, right - left, bottom - top), color="white")


def _find_most(heat: Tensor) -> float:
    """Largest weight of a glimpse, above zero."""
    return max(float(heat.nan_to_num().max()), 1e-9)


def _frame_part(axes: Axes, area: Area, **style: Any) -> None:
    corner = (area.left, area.bottom)
    axes.add_patch(Rectangle(corner, area.width, area.height, fill=False, **style))


def draw_steps(axes: Axes, weights: Float[Tensor, "steps"], glimpse: int) -> None:
    """Draw the weight of each step of a glimpse."""
    known = weights.cpu().nan_to_num()
    axes.bar(range(len(known)), known.numpy(), width=0.9, color=COLORS[0])
    axes.set(
        title=f"glimpse {glimpse} (attention per step)", ylim=(0, max(float(known.max()), 1e-9))
    )
    axes.locator_params(axis="both", nbins=4, integer=False)


def draw_peaks(axes: Axes, view: ClipView, row: int, area: Area) -> None:
    """Frame the cell of one picture in which each glimpse is largest, and name its weight below."""
    for number, (picture, cell, weight) in enumerate(view.peaks):
        style = get_line_style(number + 1)  # the first color is that of waves
        if picture != row:
            continue
        shrink = min(number, 3) * 0.06  # glimpses of one cell stay apart
        inner = area.part(*cell).part(shrink, shrink, 1 - 2 * shrink, 1 - 2 * shrink)
        _frame_part(axes, inner, linewidth=2, **style)
        line = area.part(0.03, 0, 0, 0.96 - 0.1 * (len(view.peaks) - 1 - number))
        axes.text(
            line.left,
            line.bottom,
            f"glimpse {number}: {weight:.2f}",
            fontsize=7,
            color=style["color"],
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
        )


def draw_scale(axes: Axes, heat: Tensor, area: Area) -> None:
    """Draw the colors from zero to the largest weight of a glimpse beside it."""
    scale = area.part(1.02, 0.1, 0.04, 0.8)
    colors = np.linspace(1, 0, 64)[:, None]
    axes.imshow(colors, cmap=COLORMAP, alpha=0.6, extent=scale.extent)
    for part in (0, 0.5, 1):
        height, value = scale.bottom + part * scale.height, f"{part * _find_most(heat):.2g}"
        axes.text(scale.left + 1.3 * scale.width, height, value, fontsize=7, va="center")


def draw_audio(figure: Figure, view: ClipView, sides: dict[str, float]) -> None:
    """Draw the waveform over the log-mel spectrogram, on the clock of the recording."""
    grid = figure.add_gridspec(2, 1, height_ratios=[1, 2], hspace=0.08, **sides)
    if view.sound is None or not len(view.sound):
        axes = figure.add_subplot(grid[:, 0])
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no sound", transform=axes.transAxes, ha="center", va="center")
        return

    wave, axes = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    end = view.start + len(view.sound) / SAMPLE_RATE
    draw_wave(wave, view.sound, view.start)
    decibel = compute_log_mel(view.sound)
    axes.imshow(
        decibel.numpy(),
        aspect="auto",
        origin="lower",
        cmap=COLORMAP,
        vmin=-DYNAMIC_RANGE,
        vmax=0,
        extent=(view.start, end, 0, _to_mel(SAMPLE_RATE / 2)),
    )
    axes.set_yticks([_to_mel(1000 * khz) for khz in (0.25, 1, 4)], ["0.25", "1", "4"])
    axes.set_ylabel("kHz")
    axes.set_xlabel(format_time_label(view, end), labelpad=1)
    axes.locator_params(axis="x", nbins=4)  # ticks are what drawing spends its time on


def format_time_label(view: ClipView, end: float) -> str:
    """Name of the axis of time: which seconds of the recording these are."""
    if view.seconds is None:
        return "seconds of the sound that was kept"
    span = f"seconds {view.start:.1f} to {end:.1f}"
    whole = view.seconds - (end - view.start) < 0.05
    return f"{span}, the whole sound" if whole else f"{span} of {view.seconds:.1f}"


def compute_log_mel(sound: Int16[np.ndarray, "samples"]) -> Float[Tensor, "mels frames"]:
    """Energy of a sound per mel band and frame, in dB below the loudest."""
    samples = torch.from_numpy(sound).float() / 2**15
    samples = F.pad(samples, (0, max(0, WINDOW - len(samples))))
    frames = samples.unfold(0, WINDOW, HOP) * torch.hann_window(WINDOW)
    energy = make_mel_filters(MELS, WINDOW).float() @ torch.fft.rfft(frames).abs().square().T
    decibel = 10 * energy.clamp(min=1e-10).log10()
    return decibel - decibel.max()


def _to_mel(hertz: float) -> float:
    """Place of a frequency on the scale of ``make_mel_filters``."""
    return hertz * 3 / 200 if hertz < 1000 else 15 + math.log(hertz / 1000) * 27 / math.log(6.4)


def draw_wave(axes: Axes, sound: Int16[np.ndarray, "samples"], start: float) -> None:
    """Draw the range of a sound in each of a few hundred stretches of it."""
    step = max(1, len(sound) // 400)
    stretches = sound[: len(sound) // step * step].reshape(-1, step) / 2**15
    times = start + (np.arange(len(stretches)) + 0.5) * step / SAMPLE_RATE
    axes.fill_between(times, stretches.min(axis=1), stretches.max(axis=1), color=COLORS[0])
    axes.set(xlim=(start, start + len(sound) / SAMPLE_RATE), xticks=[], yticks=[])
    axes.set_title("waveform, log-mel spectrogram")
    axes.spines["bottom"].set_visible(False)
    axes.spines["left"].set_visible(False)


def _frame(figure: Figure, right: bool) -> None:
    """Frame the figure: unbroken where the answer is right, broken where it is wrong."""
    color, style = (RIGHT, "-") if right else (WRONG, "--")
    edge = Rectangle((0, 0), 1, 1, fill=False, color=color, linestyle=style, linewidth=8)
    edge.set_transform(figure.transFigure)
    figure.add_artist(edge)
