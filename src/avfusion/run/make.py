"""Task and data module, made from their configurations."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import instantiate

from avfusion.checkpoint import Recipe
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run.streams import find_streams
from avfusion.targets import Target
from avfusion.training.task import FusionTask


def make_data(data: Any, model: Any, **options: Any) -> FaceAudioDataModule:
    """Instantiate a data module that reads exactly the streams which the model names."""
    return instantiate(data, streams=find_streams(model), **options, _convert_="all")


def make_task(model: Mapping[Any, Any], target: Target, recipe: Recipe | None = None) -> FusionTask:
    """Build the task of a configuration."""
    # Hydra would convert the recipe, a dataclass, to a configuration: it is passed afterwards.
    return instantiate(model, _convert_="all", _partial_=True)(target=target, recipe=recipe)
