"""Answer for recordings, or for clips of a store: the probability of each class.

python src/predict.py ckpt_path=<run> input=interview.mp4
python src/predict.py ckpt_path=<run> input=<folder> figures=true
python src/predict.py ckpt_path=<run> 'input="face.png + voice.wav"'
"""

import sys

import hydra
from omegaconf import DictConfig

from avfusion.console import replace_unprintable
from avfusion.figures.formats import check_format
from avfusion.run.command import run
from avfusion.run.configuration import check_complete, check_config, output_folder
from avfusion.run.errors import one_sentence


@hydra.main(version_base="1.3", config_path="../conf", config_name="predict")
def main(cfg: DictConfig) -> None:
    """Write one row per recording, in the order of the store."""
    folder = output_folder()
    with one_sentence():
        check_complete(cfg)
        form = check_format(cfg.figure_format)

    # These import torch and Lightning: seconds, once the command line is known to be whole.
    from avfusion.data.checks import check_splits
    from avfusion.evaluation.inference import collect_answers
    from avfusion.evaluation.prediction_files import (
        bad_clips,
        bad_recordings,
        by_recording,
        write_answers,
        write_figures,
    )
    from avfusion.evaluation.prediction_table import describe_answers
    from avfusion.run import build as assembly
    from avfusion.run.restore import discard, rebuild

    with one_sentence():
        check_config(cfg)
        trainer = assembly.build_trainer(cfg)
        task, data, _ = rebuild(cfg, trainer)
        check_splits(data.splits, cfg.split)

    with discard(folder):
        batches = trainer.predict(task, datamodule=data) or []
        answers = collect_answers(data.store, batches, data.modalities)
        print(replace_unprintable(describe_answers(*by_recording(answers), data.target)))
        print(write_answers(folder, answers, data.target, form))
        raw = cfg.input is not None
        bad = bad_recordings(data.store, answers, folder) if raw else bad_clips(answers, folder)
        if cfg.figures:
            write_figures(folder / "figures", data.store, answers, data.target, form)
    if bad:
        sys.exit(bad)


if __name__ == "__main__":
    run(main)
