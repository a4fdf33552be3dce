"""The network that this project began from, with its faults."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.data.clips import Clips
from avfusion.encoders.standardise import Standardise
from avfusion.networks.placeholder import Placeholder
from avfusion.networks.scores import Encoder, Scores


class Seed2017(nn.Module):
    """Classify as the notes of 2017 do, on today's torch, without repairing them.

    What is wrong, and right in ``AttentionFusion``: each LSTM has as many layers as there are
    frames; their first states are random and belong to places in a batch of one size, so batches
    that are not full are filled up; the means over time count padding; the glimpses' softmax runs
    over the batch, so that clips change each other; the face vector is added to new noise in each
    pass, in evaluation too, and is cut from the graph, so that neither attention nor face encoder
    learns; Dropout2d takes whole glimpses away. Dropout is one half everywhere.
    """

    first_states: Tensor

    def __init__(
        self,
        face_encoder: Encoder,
        mean: list[float],
        std: list[float],
        class_names: list[str],
        batch_size: int,
        layers: int = 49,
    ) -> None:
        super().__init__()
        if batch_size < 2 or layers < 1:
            raise ValueError(
                "Seed2017 needs data.batch_size of at least 2 and layers of at least 1, got "
                f"{batch_size} and {layers}."
            )
        channels = face_encoder.channels
        self.face_encoder = face_encoder
        self.no_face = Placeholder(channels, learned=False)
        self.standardise = Standardise(mean, std)
        self.lower = nn.LSTM(len(mean), 256, layers)
        self.upper = nn.LSTM(256, 256, layers)
        self.register_buffer("first_states", torch.randn(4, layers, batch_size, 256))
        self.hidden = nn.Conv2d(channels + 512, 512, 1)
        self.glimpse_logits = nn.Conv2d(512, 2, 1)
        self.face_factors = nn.Linear(2 * channels, 256)
        self.audio_factors = nn.Linear(512, 256)
        self.fused = nn.Linear(256, 400)
        self.logits = nn.Linear(400, len(class_names))
        self.drop, self.drop_maps = nn.Dropout(), nn.Dropout2d()

    def forward(self, clips: Clips) -> Scores:
        """Return log-probabilities ``[batch, classes]`` and what serves as glimpses."""
        face_map = self.no_face(self.face_encoder(clips.face), clips.has_face)
        batch, size = len(face_map), face_map.shape[2:]
        heard = self.standardise(clips.audio) * clips.has_audio[:, None, None]
        audio = self.listen(filled(heard, self.first_states.shape[2]))
        face, weights = self.look(filled(face_map.flatten(3), len(audio)), audio)
        face_factors = F.relu(self.drop(self.face_factors(face)))
        product = F.relu(face_factors * F.relu(self.drop(self.audio_factors(audio))))
        logits = self.logits(F.relu(self.drop(self.fused(product))))
        glimpses = weights[:batch].unflatten(-1, size)
        return Scores(F.log_softmax(logits, dim=1)[:batch], glimpses)

    def listen(
        self, audio: Float[Tensor, "batch frames features"]
    ) -> Float[Tensor, "batch audio_dim"]:
        """Return the means of both networks over all frames, padding included."""
        lower_hidden, upper_hidden, lower_cell, upper_cell = self.first_states
        lower, _ = self.lower(audio.transpose(0, 1), (lower_hidden, lower_cell))
        upper, _ = self.upper(lower, (upper_hidden, upper_cell))
        return torch.cat([lower.mean(dim=0), upper.mean(dim=0)], dim=1)

    def look(
        self,
        face_map: Float[Tensor, "batch channels rows columns"],
        audio: Float[Tensor, "batch audio_dim"],
    ) -> tuple[Float[Tensor, "batch face_dim"], Float[Tensor, "batch 2 positions"]]:
        """Return a noisy face vector that is cut from the graph, and weights over the batch."""
        tiled = audio[..., None, None].expand(-1, -1, *face_map.shape[2:])
        hidden = F.relu(self.drop_maps(self.hidden(torch.cat([face_map, tiled], dim=1))))
        weights = F.relu(self.drop_maps(self.glimpse_logits(hidden))).flatten(2).softmax(dim=0)
        positions = face_map.flatten(2)
        noise = torch.randn_like(positions[..., :2])
        vectors = torch.baddbmm(noise, positions.detach(), weights.detach().transpose(1, 2))
        return vectors.flatten(1), weights


def filled(features: Tensor, batch: int) -> Tensor:
    """Return features with zeros up to a full batch; they are discarded in the end."""
    missing = batch - len(features)
    if missing < 0:
        raise ValueError(
            f"Seed2017 was made for batches of {batch} clips, got {len(features)}: evaluate with "
            "the batch size of its training."
        )
    return torch.cat([features, features.new_zeros(missing, *features.shape[1:])])
