"""Check of a configuration for credentials, before Hydra writes it into the folder of a run."""

from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf

from avfusion.addresses import OTHER_KEYS, check_address
from avfusion.evaluation.runs import flatten_config
from avfusion.run.errors import exit_on_input_error


class CredentialCheck(Callback):
    """End a program with one sentence where an address in a file of ``conf/`` holds a password."""

    def on_run_start(self, config: Any, **kwargs: Any) -> None:
        """Check all values but those of Hydra and of loggers, whose services have their ways."""
        values: Any = OmegaConf.to_container(config, resolve=False)
        with exit_on_input_error():
            for key, value in flatten_config(values).items():
                for one in value if isinstance(value, list) else [value]:
                    if isinstance(one, str) and "://" in one and not key.startswith(OTHER_KEYS):
                        check_address(one, key)

    def on_multirun_start(self, config: Any, **kwargs: Any) -> None:
        """Check them before the first job of a sweep, too."""
        self.on_run_start(config)
