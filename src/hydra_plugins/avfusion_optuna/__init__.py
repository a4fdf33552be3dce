"""Sweeper of hyperparameter searches, in the namespace in which Hydra looks for plugins.

Hydra imports every module here at each start but those whose names begin with an underscore: these
may import Optuna, which takes half a second.
"""

from hydra_plugins.avfusion_optuna.sweeper import OptunaSweeper

__all__ = ["OptunaSweeper"]
