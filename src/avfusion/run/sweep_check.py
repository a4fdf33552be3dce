"""Check of what a sweep prepares, before its first job."""

from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf

from avfusion.run.errors import exit_on_input_error


class CorpusCheck(Callback):
    """End a sweep with one sentence where no job could prepare its corpus.

    Otherwise each of its jobs would, one after the other.
    """

    def on_multirun_start(self, config: Any, **kwargs: Any) -> None:
        """Read the corpus and build the encoders that all jobs have in common."""
        data = config.get("data")
        if data is None or not data.get("corpus") or OmegaConf.missing_keys(data):
            return

        from hydra.utils import instantiate  # torch is imported only where there is a corpus

        from avfusion.addresses import check_folder
        from avfusion.preparation.prepare import Preparation
        from avfusion.run.checks import check_weights

        with exit_on_input_error():
            check_folder(data.store)
            corpus = instantiate(data.corpus, _convert_="all")
            features = instantiate(data.features, _convert_="all")
            if getattr(corpus, "is_there", True):  # otherwise jobs render or download it
                features = Preparation(corpus, features, data.store).features
            check_weights(features, config.hydra.runtime.choices)
