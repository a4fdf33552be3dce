"""What becomes of recordings that are not as they should be."""

from dataclasses import dataclass, fields
from pathlib import Path

from avfusion.features.source import Unreadable


@dataclass(frozen=True)
class Policies:
    """What to do with a recording that lacks something; ``skip`` lists it, ``error`` stops there.

    ``missing``: it has no sound or no picture; ``mask`` keeps it with the other modality.
    ``no_face``: the detector finds none; ``whole`` keeps the whole pictures.
    ``silent``: its sound has less energy than features.audio.silence; ``mask`` keeps the face.
    ``not_finite``: samples are infinite or not a number; ``replace`` makes them zero.
    ``too_short``: its sound is shorter than a window of the audio features; ``pad`` fills it up.
    """

    missing: str = "skip"
    no_face: str = "whole"
    silent: str = "skip"
    not_finite: str = "skip"
    too_short: str = "pad"

    def __post_init__(self) -> None:
        instead = {
            "missing": "mask",
            "no_face": "whole",
            "silent": "mask",
            "not_finite": "replace",
            "too_short": "pad",
        }
        for field in fields(self):
            choices, chosen = ("skip", "error", instead[field.name]), getattr(self, field.name)
            if chosen not in choices:
                raise ValueError(
                    f"features.policies.{field.name} must be one of {choices}, got {chosen!r}."
                )

    @staticmethod
    def answering() -> "Policies":
        """Return those under which as many recordings as possible are answered for."""
        return Policies("mask", "whole", "mask", "replace", "pad")

    def meet(self, policy: str, reason: str, path: Path, detail: str = "") -> None:
        """Let a recording go on or not, as a policy says of the reason."""
        self.judge(policy, Unreadable(reason, path, detail))

    def judge(self, policy: str, problem: Unreadable) -> None:
        """Raise a problem, unless its policy is to go on."""
        chosen = getattr(self, policy)
        problem.fatal = chosen == "error"
        if chosen in ("skip", "error"):
            raise problem
