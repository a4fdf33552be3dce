"""Pooled table at the end of a sweep over folds."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback

from avfusion.evaluation.runs import find_runs


class PooledTable(Callback):
    """Print and write the tables of ``src/summarize.py`` once all jobs of a sweep have ended.

    With ``baselines``, the majority class and a linear probe stand beside the networks;
    ``ensemble`` averages probabilities or logits over seeds and settings, or stacks settings.
    """

    def __init__(
        self, baselines: bool = True, ensemble: str | None = None, figure_format: str = "svg"
    ) -> None:
        self.baselines = baselines
        self.ensemble = ensemble
        self.figure_format = figure_format

    def on_multirun_end(self, config: Any, **kwargs: Any) -> None:
        """Pool the runs of the sweep."""
        from avfusion.run.pooling import report_pooled  # imports torch and matplotlib

        folder = Path(str(config.hydra.sweep.dir))
        runs = find_runs([str(folder)])
        report_pooled(runs, folder, self.figure_format, self.baselines, self.ensemble)
