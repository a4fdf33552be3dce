"""Scores of numbers that two processes share: python tests/ddp_numbers.py <rank> <folder>."""

import sys

import torch

from avfusion.training.metrics.agreement import Agreement


def draw_numbers() -> tuple[torch.Tensor, torch.Tensor]:
    """Predicted and true numbers of nine clips, two of which are missing."""
    generator = torch.Generator().manual_seed(3)
    true = torch.rand(9, 2, generator=generator)
    true[[2, 7], [0, 1]] = torch.nan
    return true + torch.rand(9, 2, generator=generator), true


def count_part(rank: int, folder: str) -> None:
    """Count the clips of one of two processes, and write the scores of both together."""
    meet = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=2)
    metric = Agreement(["a", "b"])
    part = slice(0, 6) if rank == 0 else slice(6, 9)  # processes may have unequal numbers of clips
    predicted, true = (numbers[part] for numbers in draw_numbers())
    metric.update(preds=predicted, target=true)
    torch.save(metric.compute(), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    count_part(int(sys.argv[1]), sys.argv[2])
