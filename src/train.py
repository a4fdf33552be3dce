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
    collect_hyperparameters,
    output_folder,
    with_description,
)
from avfusion.run.errors import exit_on_input_error, exit_on_refusal


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
@exit_on_refusal()
def main(cfg: DictConfig) -> float:
    """Run one experiment; the result is the score that a sweep optimizes."""
    with exit_on_input_error():
        check_complete(cfg)

    # These import torch and Lightning: seconds, once the command line is known to be complete.
    import torch

    from avfusion.callbacks.pruning import was_pruned
    from avfusion.callbacks.resume import exit_on_sigterm
    from avfusion.callbacks.save_predictions import predict_validation
    from avfusion.callbacks.timing import get_timing
    from avfusion.run import build
    from avfusion.run.checks import check_training
    from avfusion.run.diagnosis import diagnose_training, make_measurements
    from avfusion.run.failures import find_test_status, record_failure
    from avfusion.run.loggers import log_hyperparameters
    from avfusion.run.results import collect_results, report_results
    from avfusion.run.start import read_start_checkpoint
    from avfusion.run.streams import drop_unread_encoder
    from avfusion.run.teacher import read_teacher

    with exit_on_input_error():
        drop_unread_encoder(cfg)
        check_training(cfg)
        measurements = make_measurements(cfg.diagnostics)
        start, teacher = read_start_checkpoint(cfg), read_teacher(cfg)
        trainer = build.build_trainer(cfg)
        device = str(trainer.strategy.root_device)  # computes streams, if there are any
        data = build.build_data(cfg, device, teacher)
        cfg = with_description(cfg, data.description)
        overlap = build.find_training_overlap(cfg, data, start, teacher)
        task = build.build_task(cfg, data, start, teacher)
        build.check_callbacks(trainer, task, data)
        build.allow_unused_parameters(trainer, task, data)
        last = build.pass_checkpoint(trainer, start)
        del start, teacher  # Lightning frees its tensors once they are restored
        build.write_config_and_provenance(cfg)
        hyperparameters = collect_hyperparameters(cfg)
        log_hyperparameters(trainer, hyperparameters)

    torch.manual_seed(cfg.seed + trainer.global_rank)  # processes augment and drop out differently
    with exit_on_sigterm(output_folder()), record_failure(output_folder(), trainer):
        trainer.fit(task, datamodule=data, ckpt_path=last, weights_only=True)

    score, best = build.find_best_score(trainer, task, data, cfg.monitor)
    results: dict[str, Any] = {"score": score, cfg.monitor: score, "epochs": trainer.current_epoch}
    results |= get_timing(trainer)
    if was_pruned(trainer):
        results |= {"pruned": True, "status": "pruned"}  # and not tested
    else:
        trainer.test(task, datamodule=data, ckpt_path=best, weights_only=True, verbose=False)
        results = collect_results(trainer, task, data, overlap) | results
        results |= find_test_status(results)

    report_results(output_folder(), trainer, results, hyperparameters)
    if not was_pruned(trainer):
        predict_validation(trainer, task, data)
    diagnose_training(output_folder(), trainer, measurements, cfg)
    if "failure" in results and trainer.is_global_zero:
        sys.exit(results["failure"])
    return score


if __name__ == "__main__":
    run(main)
