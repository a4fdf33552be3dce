"""Task and data module, made from their configurations."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.utils import instantiate

from avfusion.checkpoint import Recipe
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run.streams import find_streams
from avfusion.targets import Target
from avfusion.training.remedies import Distillation
from avfusion.training.task import FusionTask


def make_data(
    data: Any, model: Any, more_streams: Sequence[str] = (), **options: Any
) -> FaceAudioDataModule:
    """Instantiate a data module that reads exactly the streams which the model names, and more."""
    streams = {"streams": find_streams(model), "more_streams": list(more_streams)}
    return instantiate(data, **streams, **options, _convert_="all")


def make_task(
    model: Mapping[Any, Any],
    target: Target,
    recipe: Recipe | None = None,
    distillation: Distillation | None = None,
) -> FusionTask:
    """Build the task of a configuration."""
    # Hydra would convert the recipe, a dataclass, to a configuration: it is passed afterwards.
    make = instantiate(model, _convert_="all", _partial_=True)
    return make(target=target, recipe=recipe, distillation=distillation)
