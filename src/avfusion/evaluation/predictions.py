"""Predictions of a test, ``predictions.npz``, and of validation, ``val_predictions.npz``, of a run.

Reports, diagnostics and ensembles read these files, and need not build the network again. They
load with ``numpy.load(path, allow_pickle=False)``, hold each clip once, in the order of the store,
and these arrays:

=================  =================  ==============================  ==============================
array              dtype              shape                           content
=================  =================  ==============================  ==============================
``version``        int64              []                              of this layout, now 2
``split``          str                []                              that was tested, such as test
``store``          str                []                              path of the store, as recorded
``labels``         str                []                              the kind of labels, by which
                                                                      ``choose_target`` chooses
``modalities``     str                [modalities]                    of the clips that were not
                                                                      taken away for this test
``output_names``   str                [outputs]                       in the order of the outputs
``rows``           int64              [clips]                         in the index of the store
``clip_ids``       str                [clips]
``subjects``       str                [clips]                         as the store spells them
``outputs``        float32 (float64   [clips, outputs]                what the network returned: of
                   if trained so)                                     classes, logits
``targets``        as encoded, int64  [clips], of several classes     labels as the target encodes
                   of classes         [clips, classes]                them: number of the class, or
                                                                      1 for each class that a clip
                                                                      has; -1 unknown
``boxes``          float32            [clips, 4]                      the speaker's face (left, top,
                                                                      right, bottom) in fractions of
                                                                      the picture; NaN unknown
=================  =================  ==============================  ==============================

A network with attention has five more:

=================  =================  ==============================  ==============================
``map_shape``      int64              [3]                             pictures, rows, columns of an
                                                                      attention map
``peaks``          int64              [clips, glimpses, 3]            picture, row, column of the
                                                                      largest weight of each glimpse
``peak_weights``   float32            [clips, glimpses]               that weight
``attention_hit``  float32            [clips]                         of the mean of the glimpses
``attention_mass`` float32            [clips]                         (see ``PointingGame``); NaN
                                                                      where there is no box
=================  =================  ==============================  ==============================
"""

import zipfile
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, Shaped

from avfusion.features.clip import MODALITIES
from avfusion.files import atomic_write
from avfusion.targets import Target, choose_target

FILE_NAME = "predictions.npz"
VALIDATION_FILE_NAME = "val_predictions.npz"  # of the same checkpoint
VERSION = 2  # of the layout; in 1, output_names were class_names


class GlimpsePeaks(NamedTuple):
    """Largest weights of each glimpse; the docstring of this module describes the arrays."""

    map_shape: Int64[np.ndarray, "3"]
    peaks: Int64[np.ndarray, "clips glimpses 3"]
    peak_weights: Float32[np.ndarray, "clips glimpses"]
    attention_hit: Float32[np.ndarray, "clips"]
    attention_mass: Float32[np.ndarray, "clips"]


@dataclass(frozen=True)
class Predictions:
    """Predictions of a test; the docstring of this module describes the arrays."""

    split: str
    store: str
    labels: str
    output_names: list[str]
    rows: Int64[np.ndarray, "clips"]
    clip_ids: Shaped[np.ndarray, "clips"]
    subjects: Shaped[np.ndarray, "clips"]
    outputs: Float[np.ndarray, "clips outputs"]
    targets: Shaped[np.ndarray, "clips *outputs"]
    boxes: Float32[np.ndarray, "clips 4"]
    glimpses: GlimpsePeaks | None = None
    modalities: list[str] = field(default_factory=lambda: list(MODALITIES))

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def target(self) -> Target:
        """The target that these labels belong to.

        Raises:
            ValueError: There is no target for such labels.
        """
        return choose_target({"labels": self.labels, "output_names": self.output_names})

    def predict(self) -> Float[torch.Tensor, "clips outputs"]:
        """Convert outputs to what the target predicts, such as probabilities."""
        return self.target.predict(torch.from_numpy(self.outputs))

    @cached_property
    def predicted(self) -> Bool[np.ndarray, "clips classes"]:
        """Classes that each clip is predicted to have."""
        decided = [self.target.decide(prediction).parts for prediction in self.predict()]
        named = [[name in parts for name in self.output_names] for parts in decided]
        return np.array(named, bool).reshape(-1, len(self.output_names))

    @cached_property
    def true(self) -> Bool[np.ndarray, "clips classes"]:
        """Classes that each clip has."""
        return (self.target.indicators(torch.from_numpy(self.targets)) == 1).numpy()

    @property
    def correct(self) -> Bool[np.ndarray, "clips"]:
        """Clips of which every class is predicted correctly."""
        return (self.predicted == self.true).all(axis=1)

    def labeled(self) -> "Predictions":
        """Select the clips whose label is known."""
        indicators = self.target.indicators(torch.from_numpy(self.targets))
        known = (indicators >= 0).any(dim=1).numpy()

        return self if known.all() else self.take(np.flatnonzero(known))

    def take(self, rows: Int64[np.ndarray, "some"]) -> "Predictions":
        """Select clips by their positions here."""
        glimpses = self.glimpses
        if glimpses is not None:
            glimpses = GlimpsePeaks(glimpses.map_shape, *(part[rows] for part in glimpses[1:]))

        each = {field.name: getattr(self, field.name) for field in fields(self)}
        own = {name: v[rows] for name, v in each.items() if isinstance(v, np.ndarray)}
        return replace(self, glimpses=glimpses, **own)

    def save(self, folder: Path, name: str = FILE_NAME) -> Path:
        """Write the file into a folder, and replace one that is there."""
        names = [field.name for field in fields(self) if field.name != "glimpses"]
        arrays = {name: np.array(getattr(self, name)) for name in names}
        if self.glimpses is not None:
            arrays |= self.glimpses._asdict()

        path = folder / name
        with atomic_write(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, version=VERSION, **arrays)
        return path


def load_predictions(folder: Path, split: str = "test") -> Predictions:
    """Read the file of the test in the folder of a run.

    Raises:
        FileNotFoundError: There is none; the error names the command that writes it for ``split``.
        ValueError: The file is broken, or of another version.
    """
    return _load(folder / FILE_NAME, "" if split == "test" else f" split={split}")


def load_validation_predictions(folder: Path) -> Predictions:
    """Read the file of the validation clips in the folder of a run.

    Raises:
        FileNotFoundError: There is none; the error names the command that writes it.
        ValueError: The file is broken, or of another version.
    """
    name = VALIDATION_FILE_NAME
    return _load(folder / name, f" callbacks.predictions.name={name} split=val")


def _load(path: Path, options: str) -> Predictions:
    folder = path.parent
    command = f"python src/eval.py ckpt_path={folder} callbacks.predictions.folder={folder}"
    command += options
    if not path.is_file():
        raise FileNotFoundError(f"There is no {path}: write it with {command}")

    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        version = int(arrays.pop("version"))
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: write it again with {command}") from error
    if version != VERSION:
        raise ValueError(
            f"{path} has version {version}, and this program reads {VERSION}: write it again with "
            f"{command}"
        )

    glimpses = None
    if "peaks" in arrays:
        glimpses = GlimpsePeaks(*(arrays.pop(name) for name in GlimpsePeaks._fields))
    return Predictions(
        str(arrays.pop("split")),
        str(arrays.pop("store")),
        str(arrays.pop("labels")),
        arrays.pop("output_names").tolist(),
        modalities=arrays.pop("modalities", np.array(MODALITIES)).tolist(),  # older files have none
        glimpses=glimpses,
        **arrays,
    )
