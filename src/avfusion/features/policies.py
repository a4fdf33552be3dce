"""Recordings that cannot be used as they are: the errors that say so, and policies for them."""

from dataclasses import dataclass, fields
from pathlib import Path

from avfusion.corpora.spelling import escape_surrogates

ALTERNATIVES = {  # to skip and error
    "missing": "mask",
    "no_face": "whole",
    "silent": "mask",
    "not_finite": "replace",
    "too_short": "pad",
    "damaged": "keep",
    "truncated": "keep",
}


class Unreadable(ValueError):
    """A file that cannot be used; reports count its ``reason``, the message has the detail.

    A ``fatal`` one ends a preparation rather than being skipped.
    """

    fatal = False

    def __init__(self, reason: str, path: Path, detail: str = "") -> None:
        in_brackets = f" ({detail})" if detail else ""
        super().__init__(escape_surrogates(f"{path.name}: {reason}{in_brackets}"))
        self.reason = reason


class Missing(Unreadable):
    """A recording without any sound, or without any picture."""


@dataclass(frozen=True)
class Policies:
    """Treatment of a recording that lacks something; ``skip`` lists it, ``error`` stops there.

    ``missing``: it has no sound or no picture; ``mask`` keeps it with the other modality.
    ``no_face``: the detector finds none; ``whole`` keeps the whole pictures.
    ``silent``: its energy is below features.audio.silence_dbfs; ``mask`` keeps the face.
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
        for field in fields(self):
            choices = ("skip", "error", ALTERNATIVES[field.name])
            chosen = getattr(self, field.name)
            if chosen not in choices:
                raise ValueError(
                    f"features.policies.{field.name} must be one of {choices}, got {chosen!r}."
                )

    @classmethod
    def for_prediction(cls) -> "Policies":
        """Policies by which as many recordings as possible get a prediction."""
        return cls(**ALTERNATIVES)

    def apply(self, policy: str, problem: Unreadable) -> None:
        """Raise a problem, unless its policy is to go on."""
        chosen = getattr(self, policy)
        problem.fatal = chosen == "error"
        if chosen in ("skip", "error"):
            raise problem

    def apply_to_loss(
        self, lost: float, promised: float, path: Path, notes: list[str], unit: str = "s"
    ) -> None:
        """Raise for a recording of whose ``promised`` seconds some are ``lost``, or note it.

        Decoders say how much is lost, having set aside what rounding and the padding of
        encoders explain: a loss of nothing does nothing. ``unit`` says what is counted where it is
        not the sound, as in ``unit="s of pictures"``. A recording of which less than half is left
        is ``truncated``, any other ``damaged``.
        """
        if lost <= 0:
            return

        policy = "truncated" if lost > promised / 2 else "damaged"
        detail = f"{lost:.2f} of {promised:.2f} {unit} lost"
        self.apply(policy, Unreadable(policy, path, detail))
        notes.append(f"{policy}: {detail}")
