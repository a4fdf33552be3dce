"""What the checkpoint of a run answers on the clips that the run was tested on."""

from pathlib import Path
from typing import NamedTuple

import lightning as L
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avfusion.comparison.records import Run
from avfusion.data.fitness import check_splits
from avfusion.data.store import Store
from avfusion.environment import data_folder
from avfusion.predictions.answers import Answer, collect_answers
from avfusion.run.endings import sentence_of, wrong_input
from avfusion.run.rebuild import rebuild_for
from avfusion.targets import Target


class Answers(NamedTuple):
    """The answers to the clips of a split whose class is known."""

    store: Store
    split: str
    target: Target
    each: list[Answer]

    @property
    def names(self) -> list[str]:
        """The classes."""
        return self.target.class_names

    @property
    def labels(self) -> Int64[Tensor, "clips"]:
        """The numbers of the true classes."""
        return torch.tensor([self.names.index(answer.clip["label"]) for answer in self.each])

    @property
    def probabilities(self) -> Float[Tensor, "clips classes"]:
        """The probabilities of the classes."""
        return torch.stack([a.probabilities for a in self.each if a.probabilities is not None])


def ask(run: Run, store: Path | None) -> Answers:
    """Return the answers of a run's best checkpoint, to the clips of its store or of another."""
    place = store or find_store(str(run.results.get("data/store", "")))
    split = str(run.results.get("data/split", "test"))
    trainer = L.Trainer(
        devices=1, logger=False, enable_checkpointing=False, enable_model_summary=False
    )
    task, module = rebuild_for(run.folder, place, split, trainer)
    check_splits(module.store, split)
    names = module.target.class_names
    found = collect_answers(module.store, trainer.predict(task, datamodule=module) or [])
    known = [a for a in found if a.clip["label"] in names and a.probabilities is not None]
    if not known:
        raise ValueError(f"No {split} clip of {place} has a label that the network knows.")
    return Answers(module.store, split, module.target, known)


def ask_or_say_why(run: Run, store: Path | None) -> Answers | str:
    """Return the answers, or a sentence that says why there are none."""
    try:
        return ask(run, store)
    except wrong_input() as error:
        return sentence_of(error)


def find_store(recorded: str) -> Path:
    """Return the store of a run: where it was, or where this machine keeps stores."""
    home = Path(data_folder()) / "stores"
    places = [Path(recorded), home / Path(recorded).name]
    for place in places if recorded else []:
        if (place / "description.json").is_file():
            return place
    raise FileNotFoundError(
        f"The store of this run is not at {recorded or 'a place that it recorded'}: give --store."
    )
