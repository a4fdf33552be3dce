"""Write the probability of each class for each clip of a split.

python src/predict.py ckpt_path=logs/lowrank/2026-01-31_12-00-00-000000
"""

import hydra
from omegaconf import DictConfig

from avfusion import run
from avfusion.rebuild import rebuild
from avfusion.results import write_predictions


@hydra.main(version_base="1.3", config_path="../conf", config_name="predict")
def main(cfg: DictConfig) -> None:
    """Write one row per clip, in the order of the store."""
    with run.one_sentence():
        trainer = run.build_trainer(cfg)
        task, data = rebuild(cfg, trainer)
    batches = trainer.predict(task, datamodule=data) or []
    print(write_predictions(run.output_folder(), data, batches))


if __name__ == "__main__":
    main()
