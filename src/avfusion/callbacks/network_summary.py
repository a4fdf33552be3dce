"""Summary of the network as training begins."""

from typing import Any

from lightning.pytorch.callbacks import ModelSummary


class NetworkSummary(ModelSummary):
    """Log Lightning's model summary, of the modules that have parameters.

    Without this, 19 of some 28 rows would be metrics. The column of FLOPs is left out, too: it is 0
    without an example input, and on a CPU takes LSTMs for free. ``megaflops`` in ``results.json``
    counts what a clip costs.
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
        ModelSummary.summarize(chosen, *totals, **options)
