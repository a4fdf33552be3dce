"""Predict the classes of recordings, or of the clips of a store.

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
from avfusion.run.errors import exit_on_input_error, exit_on_refusal


@hydra.main(version_base="1.3", config_path="../conf", config_name="predict")
@exit_on_refusal()
def main(cfg: DictConfig) -> None:
    """Write one prediction per recording, in the order of the store."""
    folder = output_folder()
    with exit_on_input_error():
        check_complete(cfg)
        figure_format = check_format(cfg.figure_format)

    # These import torch and Lightning: seconds, once the command line is known to be complete.
    from avfusion.checkpoint import find_checkpoint
    from avfusion.data.checks import check_splits
    from avfusion.diagnostics.temperature import read_temperature, scale_outputs
    from avfusion.evaluation.inference import collect_predictions
    from avfusion.evaluation.prediction_files import (
        group_by_recording,
        report_failed_clips,
        report_failed_recordings,
        write_figures,
        write_predictions,
    )
    from avfusion.evaluation.prediction_table import format_predictions
    from avfusion.run.build import build_trainer
    from avfusion.run.restore import discard_store, restore

    with exit_on_input_error():
        check_config(cfg)
        trainer = build_trainer(cfg)
        file = find_checkpoint(cfg.ckpt_path, "best")
        temperature = read_temperature(file) if cfg.temperature else None
        task, data, _ = restore(cfg, trainer)
        if temperature is not None:
            scale_outputs(task.network, temperature)
        check_splits(data.splits, cfg.split)

    with discard_store(folder):
        batches = trainer.predict(task, datamodule=data) or []
        predictions = collect_predictions(data, batches, task.network)
        recordings, windows = group_by_recording(predictions)
        print(replace_unprintable(format_predictions(recordings, windows, data.target)))
        print(write_predictions(folder, predictions, data.target, figure_format))

        if cfg.input is None:
            failed = report_failed_clips(predictions, folder)
        else:
            failed = report_failed_recordings(data.store, predictions, folder)
        if cfg.figures:
            write_figures(folder / "figures", data.store, predictions, data.target, figure_format)

    if failed:
        sys.exit(failed)


if __name__ == "__main__":
    run(main)
