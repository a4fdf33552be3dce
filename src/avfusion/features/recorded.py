"""Stream encoders as a store or a checkpoint records them, built again for other recordings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pydoc import locate
from typing import Any

from torch import Tensor, nn

from avfusion.checkpoint import check_targets
from avfusion.features.clip import Stream
from avfusion.features.face_maps import FaceMaps
from avfusion.features.streams import StreamEncoder, digest_weights


@dataclass(frozen=True)
class RecordedEncoder:
    """The encoder of a stream by what is recorded of it, with the very weights that it had.

    ``state`` holds its weights where they have travelled; otherwise they are found where
    ``described.source`` says, or where ``location`` does, settings that replace those.
    """

    stream: str
    described: Stream
    state: Mapping[str, Tensor] | None = field(default=None, repr=False)
    location: Mapping[str, Any] | None = None

    @property
    def modality(self) -> str:
        """``audio`` or ``face``."""
        return self.described.modality

    @property
    def reads(self) -> str:
        """Name of the stream that it is computed from."""
        return self.described.reads or "frames"  # only face maps were computed by earlier versions

    @property
    def weights(self) -> str:
        """Origin of its weights."""
        return str(self.described.weights)

    @property
    def sha256(self) -> str | None:
        """SHA-256 of its weights."""
        return self.described.sha256

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes."""
        return dict(self.described.encoder or {})

    def source(self) -> dict[str, Any]:
        """Location of its weights."""
        return {**(self.described.source or {}), **(self.location or {})}

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the encoder with the weights that it had.

        Raises:
            FileNotFoundError: they are not there.
            ValueError: there are other ones.
        """
        check_targets(Path(f"the stream {self.stream}"), self.recipe())
        state = self.state if state is None else state
        known = (
            f"The stream {self.stream} was computed with the weights of {self.weights} (sha256 "
            f"{self.sha256})"
        )
        try:
            encoder = self._make_encoder(state is None)
            module = encoder.build(state)
        except (OSError, ValueError, ImportError) as error:
            overrides = " ".join(f"+encoders.{self.stream}.{key}=..." for key in self.source())
            cure = f" Say where they lie with {overrides}." if overrides else ""
            raise FileNotFoundError(f"{known}, which cannot be loaded: {error}{cure}") from error

        weights = module.state_dict()
        digest = digest_weights(weights) if weights else encoder.sha256
        if digest != self.sha256:
            raise ValueError(
                f"{known}, and {encoder.weights} holds others (sha256 {digest}): give those."
            )
        return module

    def _make_encoder(self, from_source: bool) -> StreamEncoder:
        """Make the encoder of the recipe; that of face maps is the recipe of a face encoder."""
        from hydra.utils import instantiate  # half a second that decoding does without

        recipe, source = self.recipe(), self.source() if from_source else {}
        kind = locate(recipe["_target_"])
        if isinstance(kind, type) and issubclass(kind, nn.Module):
            if "run" in source:
                return FaceMaps(str(source["run"]), stream=self.stream)
            return FaceMaps(encoder=recipe | source, stream=self.stream)
        made: StreamEncoder = instantiate(
            recipe | source | {"stream": self.stream}, _convert_="all"
        )
        return made
