"""Test a checkpoint, on its own data or on any other store.

python src/eval.py ckpt_path=logs/lowrank/2026-01-31_12-00-00-000000
python src/eval.py ckpt_path=<run> split=val
python src/eval.py ckpt_path=<run> data=store data.store=<store>
"""

import hydra
from omegaconf import DictConfig

from avfusion.run.command import run
from avfusion.run.configuration import check_complete, check_config, output_folder
from avfusion.run.errors import one_sentence


@hydra.main(version_base="1.3", config_path="../conf", config_name="eval")
def main(cfg: DictConfig) -> None:
    """Write the metrics of one split."""
    with one_sentence():
        check_complete(cfg)

    # These import torch and Lightning: seconds, once the command line is known to be whole.
    from avfusion.data.checks import check_labels, check_splits
    from avfusion.run import build as assembly
    from avfusion.run.restore import rebuild
    from avfusion.run.results import collect_results, headline, write_results

    with one_sentence():
        check_config(cfg)
        trainer = assembly.build_trainer(cfg)
        task, data, seen = rebuild(cfg, trainer)
        check_splits(data.splits, cfg.split)
        check_labels(data.store, data.splits, cfg.split, data.target)

    trainer.test(task, datamodule=data, verbose=False)
    results = collect_results(trainer, task, data, seen)
    print(headline(results))
    print(write_results(output_folder(), results))


if __name__ == "__main__":
    run(main)
