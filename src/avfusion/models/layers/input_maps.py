"""Linear maps of both modalities to one width, the input of many fusions."""

from torch import nn


def input_maps(
    face_dim: int, audio_dim: int, width: int, shared: bool
) -> tuple[nn.Linear, nn.Linear]:
    """Build a map to ``width`` for the face and one for the audio; ``shared``: one for both."""
    if not shared:
        return nn.Linear(face_dim, width), nn.Linear(audio_dim, width)

    if face_dim != audio_dim:
        raise ValueError(
            "shared=true needs vectors of one width, "
            f"got {face_dim} numbers of the face and {audio_dim} of the audio; set shared=false."
        )

    both = nn.Linear(face_dim, width)
    return both, both
