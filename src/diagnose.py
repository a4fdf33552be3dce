"""Diagnose a run: what each modality contributes, how sure it is, whom it fails.

python src/diagnose.py ckpt_path=logs/lowrank/2026-01-31_12-00-00-000000
python src/diagnose.py ckpt_path=<sweep over folds> diagnostics=quick
python src/diagnose.py ckpt_path=<run> 'diagnostics.subsets.stand_ins=[noise]'
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from avfusion.figures.formats import check_format
from avfusion.run.command import run
from avfusion.run.configuration import check_complete, check_config
from avfusion.run.errors import exit_on_input_error, exit_on_refusal


@hydra.main(version_base="1.3", config_path="../conf", config_name="diagnose")
@exit_on_refusal()
def main(cfg: DictConfig) -> None:
    """Measure every section; print the most important numbers, and write all of them."""
    with exit_on_input_error():
        check_complete(cfg)
        figure_format = check_format(cfg.figure_format)

    # These import torch and Lightning: seconds, once the command line is known to be complete.
    from avfusion.report.diagnostics import write_page
    from avfusion.run.diagnosis import (
        diagnose,
        find_tested_runs,
        gather_settings,
        make_measurements,
        print_diagnosis,
        write_diagnostics,
    )

    with exit_on_input_error():
        check_config(cfg)
        measurements = make_measurements(cfg.diagnostics)
        runs = find_tested_runs(cfg.ckpt_path)
        settings = gather_settings(runs)

    diagnoses = []
    for evidence in settings:
        diagnoses.append(diagnose(evidence, measurements, cfg))
        print_diagnosis(diagnoses[-1])
    folder = runs[0].folder if len(runs) == 1 else Path(cfg.ckpt_path)
    write_diagnostics(folder, diagnoses, figure_format)
    print(f"Written: {write_page(folder, diagnoses)}")


if __name__ == "__main__":
    run(main)
