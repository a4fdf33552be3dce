"""Train a model, then test its best checkpoint.

python src/train.py model=lowrank trainer.devices=1
python src/train.py -m model=lowrank,concat optimizer.lr=1e-3 seed=1,2,3
python src/train.py ckpt_path=<run> trainer.max_epochs=20
"""

import sys
from typing import Any

import hydra
from omegaconf import DictConfig

from avfusion.run.command import run
from avfusion.run.configuration import (
    check_complete,
    hyperparameters,
    output_folder,
    with_description,
)
from avfusion.run.errors import one_sentence


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(cfg: DictConfig) -> float:
    """Run one experiment and return the score that a sweep optimises."""
    with one_sentence():
        check_complete(cfg)

    # These import torch and Lightning: seconds, once the command line is known to be whole.
    import torch

    from avfusion.callbacks.pruning import was_pruned
    from avfusion.callbacks.resume import exit_on_sigterm
    from avfusion.callbacks.timing import get_timing
    from avfusion.run import build as assembly
    from avfusion.run.checks import check_training
    from avfusion.run.failures import recorded_failure, tested_status
    from avfusion.run.loggers import log_choices
    from avfusion.run.results import collect_results, report
    from avfusion.run.start import read_start

    with one_sentence():
        check_training(cfg)
        start = read_start(cfg)
        trainer = assembly.build_trainer(cfg)
        device = str(trainer.strategy.root_device)  # computes face maps, where there are to be any
        data = assembly.build_data(cfg, device)
        cfg = with_description(cfg, data.description)
        seen = assembly.find_seen(cfg, data, start)
        task = assembly.build_task(cfg, data, start)
        assembly.allow_unused_parameters(trainer, task, data)
        last = assembly.hand_over(trainer, start)
        del start  # Lightning lets go of its tensors once they are restored
        assembly.write_origin(cfg)
        chosen = hyperparameters(cfg)
        log_choices(trainer, chosen)

    torch.manual_seed(cfg.seed + trainer.global_rank)  # processes augment and drop out differently
    with exit_on_sigterm(output_folder()), recorded_failure(output_folder(), trainer):
        trainer.fit(task, datamodule=data, ckpt_path=last, weights_only=True)

    score, best = assembly.best(trainer, task, data, cfg.monitor)
    results: dict[str, Any] = {"score": score, cfg.monitor: score, "epochs": trainer.current_epoch}
    results |= get_timing(trainer)
    if was_pruned(trainer):
        results |= {"pruned": True, "status": "pruned"}  # and not tested
    else:
        trainer.test(task, datamodule=data, ckpt_path=best, weights_only=True, verbose=False)
        results = collect_results(trainer, task, data, seen) | results
        results |= tested_status(results)
    report(output_folder(), trainer, results, chosen)
    if "failure" in results and trainer.is_global_zero:
        sys.exit(results["failure"])
    return score


if __name__ == "__main__":
    run(main)
