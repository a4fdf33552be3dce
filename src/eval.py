"""Test a checkpoint, on its own data or on any other store.

python src/eval.py ckpt_path=logs/lowrank/2026-01-31_12-00-00-000000
python src/eval.py ckpt_path=<run> split=val modalities=[face]
python src/eval.py ckpt_path=<run> data=store data.store=<store>
"""

import hydra
from omegaconf import DictConfig

from avfusion.run.command import run
from avfusion.run.configuration import check_complete, check_config, output_folder
from avfusion.run.errors import exit_on_input_error, exit_on_refusal


@hydra.main(version_base="1.3", config_path="../conf", config_name="eval")
@exit_on_refusal()
def main(cfg: DictConfig) -> None:
    """Test the checkpoint on one split, and write its metrics."""
    with exit_on_input_error():
        check_complete(cfg)

    # These import torch and Lightning: seconds, once the command line is known to be complete.
    from avfusion.data.checks import check_labels, check_splits
    from avfusion.run.build import build_trainer
    from avfusion.run.restore import restore
    from avfusion.run.results import collect_results, format_headline, write_results

    with exit_on_input_error():
        check_config(cfg)
        trainer = build_trainer(cfg)
        task, data, overlap = restore(cfg, trainer)
        check_splits(data.splits, cfg.split)
        check_labels(data.store, data.splits, cfg.split, data.target)

    trainer.test(task, datamodule=data, verbose=False)
    results = collect_results(trainer, task, data, overlap)
    print(format_headline(results))
    print(write_results(output_folder(), results))


if __name__ == "__main__":
    run(main)
