"""Loggers of media: figures, sounds and texts of a run, in TensorBoard, W&B and MLflow.

Each shows a ``figure``, a ``sound`` of samples at 16 kHz and a ``text`` under a tag, at a step.
"""

import wave
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import lightning as L
import torch
from jaxtyping import Int16
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy import ndarray
from tensorboard.compat.proto.summary_pb2 import Summary

from avfusion.features.mfcc import SAMPLE_RATE


class TensorBoardMedia:
    """The tabs IMAGES, AUDIO and TEXT."""

    def __init__(self, logger: TensorBoardLogger) -> None:
        self.writer = logger.experiment

    def figure(self, tag: str, figure: Figure, step: int) -> None:
        """Show a figure.

        It is encoded with little compression: ``add_figure`` takes 73 ms for the figure of a clip,
        this takes 50 ms for one that is a third larger.
        """
        encoded = BytesIO()
        canvas = FigureCanvasAgg(figure)
        canvas.print_png(encoded, pil_kwargs={"compress_level": 1})
        width, height = canvas.get_width_height()
        image = Summary.Image(
            height=height, width=width, colorspace=4, encoded_image_string=encoded.getvalue()
        )
        summary = Summary(value=[Summary.Value(tag=tag, image=image)])
        # Private: what every method of the writer opens its file with, once the training closed it.
        self.writer._get_file_writer().add_summary(summary, step)

    def sound(self, tag: str, sound: Int16[ndarray, "samples"], step: int) -> None:
        """Let a sound be heard."""
        samples = torch.from_numpy(sound).float()[None] / 2**15
        self.writer.add_audio(tag, samples, step, SAMPLE_RATE)

    def text(self, tag: str, text: str, step: int) -> None:
        """Show a text as code, which Markdown leaves alone."""
        self.writer.add_text(tag, "\n".join(f"    {line}" for line in text.splitlines()), step)


class WandbMedia:
    """Media and tables of Weights & Biases."""

    def __init__(self, logger: WandbLogger) -> None:
        self.logger = logger

    def figure(self, tag: str, figure: Figure, step: int) -> None:
        """Show a figure."""
        self.logger.log_image(tag, [figure], step)

    def sound(self, tag: str, sound: Int16[ndarray, "samples"], step: int) -> None:
        """Let a sound be heard."""
        with _wave_file(tag, sound) as path:
            self.logger.log_audio(tag, [str(path)], step)

    def text(self, tag: str, text: str, step: int) -> None:
        """Show a text in a table of one cell."""
        self.logger.log_text(tag, columns=["text"], data=[[text]], step=step)


class MLFlowMedia:
    """Files among the artifacts of MLflow, their steps in their names; a text has one."""

    def __init__(self, logger: MLFlowLogger) -> None:
        self.client: Any = logger.experiment
        self.run = logger.run_id

    def figure(self, tag: str, figure: Figure, step: int) -> None:
        """Keep a figure."""
        self.client.log_figure(self.run, figure, f"{tag}/step_{step:06d}.png")

    def sound(self, tag: str, sound: Int16[ndarray, "samples"], step: int) -> None:
        """Keep a sound."""
        with _wave_file(f"step_{step:06d}", sound) as path:
            self.client.log_artifact(self.run, str(path), tag)

    def text(self, tag: str, text: str, step: int) -> None:
        """Keep a text."""
        self.client.log_text(self.run, text, tag)


@contextmanager
def _wave_file(name: str, sound: Int16[ndarray, "samples"]) -> Iterator[Path]:
    """Write a sound to a file that lives for a moment."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / f"{Path(name).name}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, len(sound), "NONE", ""))
            file.writeframes(sound.astype("<i2").tobytes())
        yield path


MediaLogger = TensorBoardMedia | WandbMedia | MLFlowMedia
MEDIA_LOGGERS: dict[type[Logger], type[MediaLogger]] = {
    TensorBoardLogger: TensorBoardMedia,
    WandbLogger: WandbMedia,
    MLFlowLogger: MLFlowMedia,
}


def has_media_loggers(trainer: L.Trainer) -> bool:
    """Whether this run shows anything; all of its processes say the same."""
    return any(isinstance(logger, tuple(MEDIA_LOGGERS)) for logger in trainer.loggers)


def media_loggers(trainer: L.Trainer) -> list[MediaLogger]:
    """Where this run shows something: nowhere in all processes but the first."""
    loggers = trainer.loggers if trainer.is_global_zero else []
    return [
        make(logger)  # type: ignore[arg-type]  # each its own
        for logger in loggers
        for kind, make in MEDIA_LOGGERS.items()
        if isinstance(logger, kind)
    ]
