"""Agreement of predicted with true numbers: concordance, correlation and errors."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric


class Agreement(Metric):
    """Scores of predicted numbers for each name of which a true one is known, and their means.

    ``ccc_<name>`` is the concordance correlation coefficient with the variances of the clips, not
    their estimates (Lin, 1989, https://doi.org/10.2307/2532051), ``pcc_<name>`` Pearson's
    correlation; both are 0 where predictions or true numbers are constant. ``rmse_<name>`` and
    ``mae_<name>`` are errors in the units of the numbers.

    Predictions are kept until the end of an epoch, a few bytes per clip, rather than summed: so a
    constant is known to be one, nothing is lost by subtracting large sums, and processes that
    gather them have what one process has. ConcordanceCorrCoef and PearsonCorrCoef of torchmetrics
    return NaN for a constant prediction (and warn) and know no missing numbers.
    """

    full_state_update = False
    higher_is_better = None  # some are, some are not; see the catalog
    predicted: Any  # a list until processes gather it
    true: Any

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = list(names)
        for state in ("predicted", "true"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(
        self, preds: Float[Tensor, "batch names"], target: Float[Tensor, "batch names"]
    ) -> None:
        """Keep predicted and true numbers of a batch; missing ones are NaN."""
        self.predicted.append(preds.detach().float())
        self.true.append(target)

    def compute(self) -> dict[str, Tensor]:
        """Compute ``ccc``, ``pcc``, ``rmse``, ``mae`` and those of each name with true numbers."""
        predicted, true = (
            torch.cat(state) if isinstance(state, list) else state
            for state in (self.predicted, self.true)
        )
        each = {
            name: score_numbers(*pair)
            for name, *pair in zip(self.names, predicted.T, true.T, strict=True)
            if not pair[1].isnan().all()
        }
        scores = {}
        for score in ("ccc", "pcc", "rmse", "mae"):
            known = {f"{score}_{name}": found[score] for name, found in each.items()}
            mean = sum(known.values()) / len(known) if known else torch.nan
            for name, value in {score: mean, **known}.items():
                scores[name] = torch.tensor(value, dtype=torch.float32, device=predicted.device)

        return scores


def score_numbers(
    predicted: Float[Tensor, "clips"], true: Float[Tensor, "clips"]
) -> dict[str, float]:
    """Compute the scores of the clips whose true number is not NaN; some must be."""
    known = ~true.isnan()
    p, t = (numbers[known].cpu().double() for numbers in (predicted, true))
    error = p - t
    # Of a constant the mean may differ in the last bit, and what is left of it correlates.
    constant = any(bool(numbers.min() == numbers.max()) for numbers in (p, t))
    p_off, t_off = p - p.mean(), t - t.mean()
    p_variance, t_variance = p_off.square().mean(), t_off.square().mean()
    shared = (p_off * t_off).mean()
    apart = p_variance + t_variance + error.mean().square()

    return {
        "ccc": 0.0 if constant else float(2 * shared / apart),
        "pcc": 0.0 if constant else float(shared / (p_variance.sqrt() * t_variance.sqrt())),
        "rmse": float(error.square().mean().sqrt()),
        "mae": float(error.abs().mean()),
    }
