"""Missing modalities: the vector that stands in for one, and modality dropout.

A network takes ``missing``: ``zeros``, ``learned``, or the factory of an ``Imagination``. None is
``learned`` where modality dropout trains the vector, and ``zeros`` where nothing does.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avfusion.data.batch import Clips
from avfusion.models.networks.scores import ModuleFactory

Missing = str | ModuleFactory | None
StandIn = Literal["zeros", "learned", "imagined"]


def name_stand_in(missing: Missing, modality_dropout: float, imagines: bool = True) -> StandIn:
    """Name what stands in for a missing modality.

    Raises:
        ValueError: There is no such choice, or a network of one modality (not ``imagines``) would
            have to imagine the only one that it reads.
    """
    if missing is None:
        return "learned" if modality_dropout > 0 else "zeros"
    if missing == "zeros":
        return "zeros"
    if missing == "learned":
        return "learned"
    if isinstance(missing, str):
        raise ValueError(f"model/missing must be zeros, learned or imagined, got {missing!r}.")
    if not imagines:
        raise ValueError(
            "model/missing=imagined needs a network that reads both modalities, and this one reads "
            "only one: set model/missing=zeros or model/missing=learned."
        )
    return "imagined"


class MissingModality(nn.Module):
    """A vector in the place of the features of a modality that a clip does not have.

    It is learned by modality dropout. Where it is zero, the prediction rests on the other modality,
    but by a network that may never have met such a clip, so expect it to be poor.
    """

    vector: Tensor

    def __init__(self, dim: int, learned: bool) -> None:
        super().__init__()
        if learned:
            self.vector = nn.Parameter(0.1 * torch.randn(dim))
        else:
            self.register_buffer("vector", torch.zeros(dim), persistent=False)

    def forward(
        self,
        features: Float[Tensor, "batch dim *map"],
        present: Bool[Tensor, "batch"],
        all_present: bool = False,
    ) -> Float[Tensor, "batch dim *map"]:
        """Keep the features of clips that have them; put the vector at each position of the others.

        Where it is known that all clips have them, they are not copied; a learned vector stays in
        the graph, so that all processes of a training have the same gradients.
        """
        if all_present and not (self.training and isinstance(self.vector, nn.Parameter)):
            assert not present.is_cpu or torch.compiler.is_compiling() or present.all()
            return features
        beside = [1] * (features.ndim - 2)
        vector = self.vector.to(features.dtype).view(1, -1, *beside)
        return torch.where(present.view(-1, 1, *beside), features, vector)


def find_stand_in(network: nn.Module) -> StandIn:
    """Find what stands in for a missing modality; a network without a choice has zeros."""
    return getattr(network, "missing", "zeros")


class ModalityDropout(nn.Module):
    """In training, take the face or the voice away from a part ``p`` of the clips that have both.

    Neverova et al., 2016, https://arxiv.org/abs/1501.00102.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"modality_dropout must lie in [0, 1), got {p}.")
        self.p = p

    def forward(self, clips: Clips) -> Clips:
        """Turn off ``has_face`` or ``has_audio`` of some clips."""
        if not (self.training and self.p):
            return clips

        chance = torch.rand(len(clips.has_face), device=clips.has_face.device)
        both = clips.has_face & clips.has_audio
        return clips._replace(
            has_face=clips.has_face & ~(both & (chance < self.p / 2)),
            has_audio=clips.has_audio & ~(both & (chance >= self.p / 2) & (chance < self.p)),
            all_have_face=False,
        )
