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
    ``damaged``: some of it cannot be decoded; ``keep`` goes on with the rest, and a note.
    ``truncated``: less than half of its promised length can be decoded; ``keep`` as above.
    """

    missing: str = "skip"
    no_face: str = "whole"
    silent: str = "skip"
    not_finite: str = "skip"
    too_short: str = "pad"
    damaged: str = "keep"
    truncated: str = "skip"

    def __post_init__(self) -> None:
        instead = {
            "missing": "mask",
            "no_face": "whole",
            "silent": "mask",
            "not_finite": "replace",
            "too_short": "pad",
            "damaged": "keep",
            "truncated": "keep",
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
        return Policies("mask", "whole", "mask", "replace", "pad", "keep", "keep")

    def meet(self, policy: str, reason: str, path: Path, detail: str = "") -> None:
        """Let a recording go on or not, as a policy says of the reason."""
        self.judge(policy, Unreadable(reason, path, detail))

    def meet_loss(
        self, lost: float, promised: float, path: Path, notes: list[str], unit: str = "s"
    ) -> None:
        """Let a recording go on or not of whose ``promised`` seconds some are ``lost``; note it.

        Whoever decodes says how much is lost, having set aside what rounding and the padding of
        encoders explain: a loss of nothing does nothing. ``unit`` says what is counted where it is
        not the sound, as in ``unit="s of pictures"``. A recording of which less than half is left
        is ``truncated``, any other ``damaged``.
        """
        if lost <= 0:
            return
        reason = "truncated" if lost > promised / 2 else "damaged"
        detail = f"{lost:.2f} of {promised:.2f} {unit} lost"
        self.meet(reason, reason, path, detail)
        notes.append(f"{reason}: {detail}")

    def judge(self, policy: str, problem: Unreadable) -> None:
        """Raise a problem, unless its policy is to go on."""
        chosen = getattr(self, policy)
        problem.fatal = chosen == "error"
        if chosen in ("skip", "error"):
            raise problem
