"""Summary of the network as training begins."""

import logging
from typing import Any

from lightning.pytorch.callbacks import ModelSummary

# Private: what Lightning's own summaries print.
from lightning.pytorch.utilities.model_summary.model_summary import _format_summary_table

log = logging.getLogger(__name__)


class NetworkSummary(ModelSummary):
    """Log Lightning's model summary, of the modules that have parameters.

    Without this, 19 of some 28 rows would be metrics. FLOPs are left out, too: they are 0 without
    an example input, and on a CPU take LSTMs for free. ``megaflops`` in ``results.json`` counts
    what a clip costs.
    """

    def __init__(self, max_depth: int = 2) -> None:
        super().__init__(max_depth)

    @staticmethod
    def summarize(summary_data: list[tuple[str, list[str]]], *totals: Any, **options: Any) -> None:
        """Log the rows of modules with parameters, and the totals."""
        columns = dict(summary_data)
        rows = [row for row, count in enumerate(columns["Params"]) if count.strip() != "0"]
        chosen = [
            (title, [columns[title][row] for row in rows])
            for title in ("Name", "Type", "Params", "Mode")
        ]
        table = _format_summary_table(*totals, options["total_flops"], *chosen)
        table, _, _ = table.rpartition("\n")  # the line of FLOPs
        log.info("\n%s", table)
