"""Answer for recordings, or for clips of a store: the probability of each class.

python src/predict.py ckpt_path=<run> input=interview.mp4
python src/predict.py ckpt_path=<run> input=<folder> figures=true
python src/predict.py ckpt_path=<run> 'input="face.png + voice.wav"'
"""

import sys

import hydra
from omegaconf import DictConfig

from avfusion import run
from avfusion.checks import check_config
from avfusion.figure_style import check_format
from avfusion.predictions import collect_answers, write_answers, write_figures
from avfusion.rebuild import count_bad, discard, rebuild


@hydra.main(version_base="1.3", config_path="../conf", config_name="predict")
def main(cfg: DictConfig) -> None:
    """Write one row per recording, in the order of the store."""
    folder = run.output_folder()
    with run.one_sentence():
        check_config(cfg)
        form = check_format(cfg.figure_format)
        trainer = run.build_trainer(cfg)
        task, data = rebuild(cfg, trainer)
        data.check_splits(cfg.split)
    with discard(folder):
        answers = collect_answers(data.store, trainer.predict(task, datamodule=data) or [])
        print(write_answers(folder, answers, data.names, form))
        if cfg.figures:
            write_figures(folder / "figures", data.store, answers, data.names, form)
        bad = count_bad(data.store, folder) if cfg.input is not None else 0
    if bad:
        sys.exit(f"{bad} recordings cannot be used, the reasons are in {folder}/report.csv.")


if __name__ == "__main__":
    main()
