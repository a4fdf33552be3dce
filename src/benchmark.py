"""Measure what a training step costs, and what bounds it, on synthetic clips.

python src/benchmark.py model=lowrank
python src/benchmark.py 'benchmark.against=[tiled,seed2017]' compile=true
python src/benchmark.py 'benchmark.frames=[49,200,800]' benchmark.epochs=0
"""

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from avfusion.run.command import run
from avfusion.run.configuration import check_complete, check_config, output_folder
from avfusion.run.errors import exit_on_input_error, exit_on_refusal


@hydra.main(version_base="1.3", config_path="../conf", config_name="benchmark")
@exit_on_refusal()
def main(cfg: DictConfig) -> None:
    """Measure the sides of one run in turns, and write its tables."""
    with exit_on_input_error():
        check_complete(cfg)

    # These import torch and Lightning: seconds, once the command line is known to be complete.
    from rich.console import Console

    from avfusion.benchmark.measure import check_sides, find_device, measure
    from avfusion.benchmark.sides import compose_side, list_sides
    from avfusion.benchmark.tables import describe_environment, print_results, write_results
    from avfusion.figures.growth import growth_figure, list_growing
    from avfusion.figures.style import save_figure
    from avfusion.run.provenance import write_provenance

    folder, hydra_config = output_folder(), HydraConfig.get()
    with exit_on_input_error():
        given = list(hydra_config.overrides.task)
        cfg = compose_side(given)
        check_config(cfg)
        sides = list_sides(cfg, hydra_config.runtime.choices["model"], given)
        device = find_device(cfg)
        check_sides(cfg, sides)
        write_provenance(folder)

    results = measure(cfg, sides, device)
    environment = describe_environment(folder, device)
    print_results(results, environment, Console())
    print(write_results(folder, results, environment))
    if list_growing(results.steps):
        print(save_figure(growth_figure(results.steps), folder / "growth.png"))


if __name__ == "__main__":
    run(main)
