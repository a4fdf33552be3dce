"""Values of a sweep that follow from its data: ``${all_folds:}`` and ``${fitting_models:...}``."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

UNIMODAL = {"audio": "audio_only", "face": "face_only"}  # models, by what a corpus is read for


def list_folds(_root_: DictConfig) -> str:
    """List the folds of ``data.protocol`` or ``data.splits``, as a sweep takes them.

    Without folds, or where the store alone knows how many there are, it is ``null``: the only
    split, or an error that asks for them. ``_root_`` is what OmegaConf passes to a resolver: the
    composed configuration.
    """
    data: Any = OmegaConf.select(_root_, "data")
    if data is None:
        return "null"
    protocol, splits = OmegaConf.select(data, "protocol"), OmegaConf.select(data, "splits")
    plan = protocol if protocol is not None else splits
    folds = plan.get("folds") if isinstance(plan, Mapping | DictConfig) else None
    if folds is None and protocol is not None:
        folds = protocol.get("expected")

    if isinstance(folds, Sequence) and not isinstance(folds, str):
        folds = len(folds)
    return ",".join(map(str, range(folds))) if isinstance(folds, int) else "null"


def list_fitting_models(*models: str, _root_: DictConfig) -> str:
    """List those of some models that fit ``data.corpus.modalities``, as a sweep takes them.

    Of voices alone, or faces alone, only the network of that modality does.
    """
    modalities = str(OmegaConf.select(_root_, "data.corpus.modalities"))
    return UNIMODAL.get(modalities, ",".join(models))
