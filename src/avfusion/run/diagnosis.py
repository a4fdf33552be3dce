"""Diagnosis of a run, or of the settings of a sweep over their folds and seeds."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import lightning as L
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from avfusion.console import replace_unprintable
from avfusion.diagnostics.evidence import Evidence, gather_evidence
from avfusion.diagnostics.networks import TestedNetwork
from avfusion.diagnostics.section import (
    Diagnosis,
    Measurement,
    NotMeasured,
    Section,
    write_diagnoses,
)
from avfusion.evaluation.aggregate import find_exclusions, name_settings, without_excluded
from avfusion.evaluation.leak_marks import describe_leak_counts, find_worst_leaks
from avfusion.evaluation.pooled_scores import read_attributes
from avfusion.evaluation.predictions import FILE_NAME as PREDICTIONS
from avfusion.evaluation.predictions import Predictions, load_predictions
from avfusion.evaluation.runs import Run, find_runs, read_run
from avfusion.features.clip import MODALITIES
from avfusion.figures.diagnostics import chart_figure
from avfusion.figures.style import save_figure
from avfusion.files import safe_name
from avfusion.messages import join_items
from avfusion.run.baselines import open_store
from avfusion.run.build import build_trainer
from avfusion.run.configuration import to_plain
from avfusion.run.restore import restore

log = logging.getLogger(__name__)
EVENTS_PATTERN = "events.out.tfevents.*"
MAX_BYTES = 2**30  # of networks in memory, beside the one that is restored last
FOLDER_NAME = "diagnostics"  # of charts, and the name of the run in TensorBoard


def make_measurements(chosen: DictConfig | None) -> dict[str, Measurement]:
    """Make the sections of ``conf/diagnostics`` that are not left out."""
    made = {str(name): instantiate(one) for name, one in (chosen or {}).items() if one is not None}
    return {name: one for name, one in made.items() if one}


def find_tested_runs(path: str) -> list[Run]:
    """Find the runs of a folder that were tested; of others the log says why they are left out.

    Raises:
        FileNotFoundError: There is no run.
        ValueError: It is no folder, or none of its runs was tested.
    """
    if Path(path).is_file():
        raise ValueError(f"ckpt_path={path} is a file: give the folder of a run or of a sweep.")
    runs = find_runs([path])
    exclusions = find_exclusions(runs)
    kept = without_excluded(runs, exclusions)
    if not kept:
        reasons = join_items([str(one) for one in exclusions], 3)
        raise ValueError(f"No run in {path} has ended with a test ({reasons}): train or resume it.")
    for exclusion in exclusions:
        log.warning("%s", exclusion)
    return kept


def gather_settings(runs: Sequence[Run]) -> list[Evidence]:
    """Pool the predictions of each setting over its folds, a repetition for each seed.

    A setting that cannot be pooled is left out, with a sentence in the log; it is an error where
    no other is left.
    """
    settings: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        settings[run.setting].append(run)

    found: list[Evidence] = []
    errors: dict[str, Exception] = {}
    for name, members in zip(name_settings([*settings.values()]), settings.values(), strict=True):
        title = "/".join(members[0].folder.resolve().parts[-2:]) if len(runs) == 1 else name
        try:
            predictions = [read_predictions(run) for run in members]
            found.append(gather_evidence(title, members, predictions))
        except (ValueError, OSError) as error:
            errors[title] = error

    if not found:
        raise next(iter(errors.values()))
    for title, reason in errors.items():
        log.warning("Left out: %s: %s", title, reason)
    return [replace(one, attributes=_find_attributes(one)) for one in found]


def read_predictions(run: Run) -> Predictions:
    """Read the predictions of a run; those of a test without a modality are refused."""
    predictions = load_predictions(run.folder, str(run.results.get("data/split", "test")))
    if set(predictions.modalities) != set(MODALITIES):
        raise ValueError(
            f"The predictions in {run.folder} are of a test with the {predictions.modalities[0]} "
            f"alone: write them again with python src/eval.py ckpt_path={run.folder} "
            f"callbacks.predictions.folder={run.folder}"
        )
    return predictions


def _find_attributes(evidence: Evidence) -> dict[str, list[str | None]]:
    try:
        return read_attributes(evidence.clip_ids, open_store(evidence.parts[0].run))
    except (ValueError, OSError):  # the store is elsewhere
        return {}


class RestoredNetworks:
    """Networks of some runs, restored as they are asked for.

    Those of a sweep over folds and seeds, all at once, may be more than a machine has room for: of
    larger ones than ``MAX_BYTES`` together, some are let go and restored again.
    """

    def __init__(self, runs: Sequence[Run], split: str, cfg: DictConfig) -> None:
        self.runs, self.split, self.cfg = runs, split, cfg
        self.trainer: L.Trainer | None = None
        self.kept: dict[int, TestedNetwork] = {}

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, number: int) -> TestedNetwork:
        """Restore a network, or raise ``NotMeasured`` with the reason why it cannot be."""
        if number not in self.kept:
            own = _configure(self.cfg, self.runs[number], self.split)
            if sum(count_bytes(one.network) for one in self.kept.values()) > MAX_BYTES:
                self.kept.clear()  # before another is in memory
            try:
                self.trainer = self.trainer or build_trainer(own)
                task, data, _ = restore(own, self.trainer)
            except (ValueError, OSError) as error:
                raise NotMeasured(f"This needs forward passes: {error}") from error
            self.kept[number] = TestedNetwork(task, data, self.trainer)
        return self.kept[number]


def count_bytes(network: nn.Module) -> int:
    """Count the bytes of the weights of a network."""
    return sum(weights.nbytes for weights in network.state_dict().values())


def _configure(cfg: DictConfig, run: Run, split: str) -> DictConfig:
    """Configure the restoration of a run with the clips that it was tested on."""
    precision = cfg.trainer.precision or run.config.get("trainer.precision", "32-true")
    own = {
        "ckpt_path": str(run.folder),
        "split": split,
        **dict.fromkeys(("splits", "fold", "batch_size", "modalities")),
        "allow_subjects_seen_in_training": True,  # its results say so
        "allow_recordings_seen_in_training": True,
        # All clips, and all pairs of them: a limit of the training does not hold for these.
        "trainer": {"precision": precision, "limit_predict_batches": None, "fast_dev_run": False},
    }
    configured = cfg.copy()
    OmegaConf.set_struct(configured, False)
    configured.merge_with(own)
    return configured


def diagnose(
    evidence: Evidence, measurements: Mapping[str, Measurement], cfg: DictConfig
) -> Diagnosis:
    """Measure every section; what cannot be measured says why."""
    runs = [part.run for part in evidence.parts]
    evidence = replace(evidence, networks=RestoredNetworks(runs, evidence.split, cfg))

    sections = {}
    for name, measurement in measurements.items():
        if measurement.needs_networks:  # which takes a while
            log.info("Measuring %s.", name)
        try:
            sections[name] = measurement.measure(evidence)
        except NotMeasured as error:
            sections[name] = Section(measurement.title, f"Not measured: {error}")
    leaks = find_worst_leaks([part.run.results for part in evidence.parts])
    return Diagnosis(
        evidence.name,
        evidence.split,
        len(evidence),
        len(evidence.draws.names),
        sections,
        [describe_leak_counts(leaks)] if leaks else [],
    )


def diagnose_training(
    folder: Path, trainer: L.Trainer, measurements: Mapping[str, Measurement], cfg: DictConfig
) -> None:
    """Write the diagnostics of a training that has ended with a test.

    What needs forward passes is left to src/diagnose.py where several processes have trained.
    """
    if not (measurements and trainer.is_global_zero and (folder / PREDICTIONS).is_file()):
        return
    run = read_run(folder)
    if run.pruned or not run.results:
        return
    if trainer.world_size > 1 and any(one.needs_networks for one in measurements.values()):
        log.warning(
            "Several processes have trained: diagnose the run in one, with "
            "python src/diagnose.py ckpt_path=%s",
            folder,
        )
        return

    try:
        (evidence,) = gather_settings([run])
    except (ValueError, OSError) as error:  # such as of a target of one's own
        log.warning("No diagnostics: %s", error)
        return
    options = to_plain(cfg.trainer) | {"enable_progress_bar": False}
    own = OmegaConf.create({"trainer": options, "callbacks": {}, "encoders": {}})
    diagnosis = diagnose(evidence, measurements, own)
    write_diagnoses(folder, [diagnosis])
    if any(folder.glob(EVENTS_PATTERN)):
        write_events(folder / FOLDER_NAME, diagnosis, with_charts=False)


def write_diagnostics(folder: Path, diagnoses: Sequence[Diagnosis], figure_format: str) -> None:
    """Write diagnostics.json into the folder of a run or sweep, and charts into diagnostics/.

    Where the folder has curves for TensorBoard, these get numbers and charts, too.
    """
    write_diagnoses(folder, diagnoses)
    has_events = any(folder.rglob(EVENTS_PATTERN))
    for diagnosis in diagnoses:
        own = folder / FOLDER_NAME
        if len(diagnoses) > 1:
            own = own / safe_name(diagnosis.name, "setting")
        own.mkdir(parents=True, exist_ok=True)
        for section in diagnosis.sections.values():
            for chart in section.charts:
                save_figure(
                    chart_figure(chart), own / f"{safe_name(chart.name, 'chart')}.{figure_format}"
                )
        if has_events:
            write_events(own, diagnosis)


def write_events(folder: Path, diagnosis: Diagnosis, with_charts: bool = True) -> None:
    """Write numbers and charts for TensorBoard, as a run of its own, and replace earlier ones."""
    for old in folder.glob(EVENTS_PATTERN):
        old.unlink()
    with SummaryWriter(str(folder)) as writer:
        for name, section in diagnosis.sections.items():
            for key, value in section.numbers.items():
                writer.add_scalar(f"{FOLDER_NAME}/{name}/{key}", value)
            for chart in section.charts if with_charts else ():
                writer.add_figure(f"{FOLDER_NAME}/{chart.name}", chart_figure(chart))


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Print a line for each section."""
    table = Table(box=SIMPLE_HEAD, title=replace_unprintable(diagnosis.name), title_justify="left")
    table.add_column("")
    table.add_column(f"{diagnosis.clips} clips of {diagnosis.subjects} subjects", overflow="fold")
    for section in diagnosis.sections.values():
        table.add_row(section.title, replace_unprintable(section.summary))
    console = Console()
    console.print(table)
    for note in diagnosis.notes:
        console.print(escape(replace_unprintable(note)), highlight=False)
