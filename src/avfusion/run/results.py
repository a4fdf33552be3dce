"""Results of a run: results.json, the line at the end, and the final metrics of loggers."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from avfusion.console import replace_unprintable
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.splits import Splits
from avfusion.evaluation.leak_marks import (
    PROTOCOL_LEAK,
    TEST_VALIDATION,
    count_leaks,
    list_leaks,
    mark_leaks,
)
from avfusion.models.cost import count_megaflops, count_parameters
from avfusion.training.metrics.catalog import headlines
from avfusion.training.task import FusionTask

log = logging.getLogger(__name__)
HPARAMS_RUN = "final"  # name of the TensorBoard run that holds the row of the HPARAMS tab


def collect_results(
    trainer: L.Trainer,
    task: FusionTask,
    data: FaceAudioDataModule,
    overlap: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Collect the metrics of a test, its costs, and the data leakage behind them, by flat names.

    ``overlap`` holds the tested subjects and clips that an earlier training, on other data, has
    used (see ``avfusion.data.train_test_overlap``). ``data/modalities`` names those that are left
    where one was taken away.
    """
    named = sorted(trainer.callback_metrics.items())
    kept = {"data/modalities": "+".join(data.kept)} if data.removed else {}
    shared = data.description["shared_subjects"]
    return {
        **{name: float(value) for name, value in named if "/" in name},
        **measure_costs(task, data),
        "data/corpus": data.description["corpus"],
        "data/store": str(data.path),
        "data/splits": data.splits.plan,
        "data/split": data.eval_split,
        **describe_plan(data.splits),
        **kept,
        "data/shared_subjects": None if shared is None else len(shared),  # null: unknown
        **{f"data/{name}": len(found) for name, found in data.description["leaks"].items()},
        **{f"data/{name}": len(found) for name, found in overlap.items()},
    }


def describe_plan(splits: Splits) -> dict[str, Any]:
    """Describe protocol and folds behind a test, as far as there are any, by flat names.

    ``data/folds`` is how many clips each of the folds has, as JSON.
    """
    texts = {
        "data/protocol": splits.protocol,
        PROTOCOL_LEAK: splits.leak,
        "data/protocol_lacks": splits.remark,
        "data/fold": splits.fold,
    }
    described: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if splits.folds:
        described["data/folds"] = json.dumps(splits.folds, ensure_ascii=False)
    if splits.validates_on_test:
        described[TEST_VALIDATION] = splits.counts()["test"]
    return described


def measure_costs(task: FusionTask, data: FaceAudioDataModule) -> dict[str, float]:
    """Count the parameters of a network and of some of its parts, and the MFLOPs of one clip.

    Generators are a part of the network; discriminators and remedies only help to train it.
    """
    clip = data.dataset(data.eval_split).__getitems__([0]).with_floats()
    parts = {
        "parameters": task.network,
        "parameters_of_fusion": getattr(task.network, "fusion", None),
        "parameters_of_generators": getattr(task.network, "imagination", None),
        "parameters_of_discriminators": getattr(task, "discriminators", None),
        "parameters_of_remedies": getattr(task.remedies, "unimodal_heads", None),
    }
    known = {name: count_parameters(part) for name, part in parts.items() if part is not None}

    return known | {"megaflops": count_megaflops(task.network, clip)}


def write_results(folder: Path, results: dict[str, Any]) -> Path:
    """Write results.json; numbers that are not finite become null, as JSON has none."""
    known = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in results.items()
    }
    path = folder / "results.json"
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False), encoding="utf-8")
    return path


def format_headline(results: dict[str, Any]) -> str:
    """Format the headline scores of a test in one line.

    Data leakage is marked beside each of them, and explained. A modality that was the only one left
    is named.
    """
    (mark,), footnotes = mark_leaks([count_leaks(results)])
    known = [(title, results.get(name)) for name, title in headlines("test").items()]
    scores = ", ".join(f"{title} {score:.3f}{mark}" for title, score in known if score is not None)
    if scores and footnotes:
        scores += f" ({footnotes[0].rstrip('.')})"
    kept = results.get("data/modalities")
    test = f"Test ({kept} only)" if kept else "Test"
    return replace_unprintable(f"{test}: {scores}" if scores else "Results")


def report_results(
    folder: Path, trainer: L.Trainer, results: dict[str, Any], hyperparameters: dict[str, Any]
) -> None:
    """Write the results of a training, log their headline, and pass them to its loggers."""
    if trainer.is_global_zero:
        log.info("%s in %s", format_headline(results), write_results(folder, results))
        log_final_results(trainer, hyperparameters, results)


def log_final_results(
    trainer: L.Trainer, hyperparameters: dict[str, Any], results: dict[str, Any]
) -> None:
    """Write the row of TensorBoard's HPARAMS tab, and log the final metrics with other loggers."""
    stages = ("val/", "test/")
    final = {name: value for name, value in results.items() if name.startswith(stages)}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            first = headlines("test")
            row = {k: v for k, v in final.items() if k in first or k.startswith("val/")}
            leaks = list_leaks(count_leaks(results))
            columns = hyperparameters | ({"data.leakage": leaks} if leaks else {})
            write_hparams(Path(logger.log_dir) / HPARAMS_RUN, columns, row, trainer.global_step)
        elif not isinstance(logger, CSVLogger):  # a file of curves, with results.json beside it
            logger.log_metrics(final, trainer.global_step)


def write_hparams(
    folder: Path, hyperparameters: dict[str, Any], metrics: dict[str, float], step: int
) -> None:
    """Write the row of a run for TensorBoard's HPARAMS tab, and replace an earlier one.

    The row is a TensorBoard run of its own, which holds nothing but the headline metrics: the tab
    has a column for each scalar of the run that the row belongs to, sorted by name, so that those
    of classes, gradients and speed would come first and fill it. Only the description of an
    experiment would order them otherwise, but of all that a sweep writes the tab takes an
    arbitrary one, and loses the hyperparameters that other runs chose.
    """
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()

    _, begun, ended = hparams(hyperparameters, {})
    plugin = begun.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(plugin.content)
    # The name of the row in the tab; by default the name of this folder's path, which it cuts off.
    content.session_start_info.group_name = " ".join(folder.absolute().parts[-2:-4:-1])
    plugin.content = content.SerializeToString()

    with SummaryWriter(str(folder)) as writer:
        for summary in (begun, ended):
            writer._get_file_writer().add_summary(summary)  # private, as in add_hparams
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
