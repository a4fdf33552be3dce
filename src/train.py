"""Train a model, then test its best checkpoint.

python src/train.py model=lowrank trainer.devices=1
"""

import hydra
from omegaconf import DictConfig

from avfusion import run
from avfusion.metrics import check_monitor


@hydra.main(version_base="1.3", config_path="../conf", config_name="train")
def main(cfg: DictConfig) -> float:
    """Run one experiment and return the score that a sweep optimises."""
    with run.one_sentence():
        check_monitor(cfg.monitor, cfg.mode)
        trainer = run.build_trainer(cfg)
        data = run.build_data(cfg)
        data.prepare_data()
        task = run.build_task(cfg, data)
        last = run.checkpoint_to_continue(cfg, task)
    run.save_config(cfg)
    trainer.fit(task, datamodule=data, ckpt_path=last, weights_only=True)
    score, best = run.best(trainer, cfg.monitor)
    trainer.test(task, datamodule=data, ckpt_path=best, weights_only=True)
    run.report(cfg, trainer, task, data)
    return score


if __name__ == "__main__":
    main()
