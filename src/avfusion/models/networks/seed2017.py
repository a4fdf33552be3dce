"""Seed network of 2017 with its faults, and their repairs one by one."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.data.batch import Clips
from avfusion.models.audio_encoders.pooling import MeanPooling
from avfusion.models.initialization import init_he, init_recurrent, init_side_by_side
from avfusion.models.layers.normalize import Normalize
from avfusion.models.networks.missing_modality import MissingModality
from avfusion.models.networks.scores import Encoder, Scores

REPAIRS = {
    "layers": "each LSTM has one layer instead of as many as there are frames",
    "states": "it begins with zeros, for batches of any size, and padding does not count",
    "noise": "the face vector is no longer added to new noise in each pass",
    "gradients": "the face vector is no longer cut from the graph, so that attention learns",
    "softmax": "the glimpses are a softmax over the positions instead of the batch",
    "logits": "those of the glimpses lose their ReLU, their Dropout2d and their bias",
    "dropout": "nothing is dropped in four further places",
    "output": "logits replace log-probabilities, and a ReLU that does nothing is gone",
    "init": "first values are drawn for what follows; factors begin with a bias of one",
}


class Seed2017(nn.Module):
    """Classify as the notes of 2017 do, on today's torch, but for the ``repairs``.

    What is wrong, and right in ``AttentionFusion``: each LSTM has as many layers as there are
    frames; their first states are random and belong to rows of a batch of one size, so batches
    that are not full are filled up; the means over time count padding; the glimpses' softmax runs
    over the batch, so that clips change each other; the face vector is added to new noise in each
    pass, in evaluation too, and is cut from the graph, so that neither attention nor face encoder
    learns; Dropout2d takes whole glimpses away. Dropout is one half everywhere. With all of REPAIRS
    this is the function of model=lowrank, and its parameters are initialized in the same way.
    """

    log_probabilities = True  # which sum to one: for exclusive classes alone
    first_states: Tensor

    def __init__(
        self,
        face_encoder: Encoder,
        mean: list[float],
        std: list[float],
        outputs: int,
        batch_size: int,
        num_layers: int = 49,
        repairs: Sequence[str] = (),
        stream: str = "mfcc",
    ) -> None:
        super().__init__()
        if batch_size < 2 or num_layers < 1:
            raise ValueError(
                "Seed2017 needs data.batch_size of at least 2 and num_layers of at least 1, got "
                f"{batch_size} and {num_layers}."
            )
        if unknown := [name for name in repairs if name not in REPAIRS]:
            raise ValueError(f"repairs must be some of {[*REPAIRS]}, got {unknown}.")

        self.repairs = frozenset(repairs)
        num_layers = 1 if "layers" in repairs else num_layers
        channels = face_encoder.channels
        self.stream = stream  # of its own LSTMs
        self.face_encoder = face_encoder
        self.no_face = MissingModality(channels, learned=False)
        self.normalize = Normalize(mean, std)

        self.lower = nn.LSTM(len(mean), 256, num_layers)
        self.upper = nn.LSTM(256, 256, num_layers)
        if "states" not in repairs:
            self.register_buffer("first_states", torch.randn(4, num_layers, batch_size, 256))
        self.hidden = nn.Conv2d(channels + 512, 512, 1)
        self.glimpse_logits = nn.Conv2d(512, 2, 1, bias="logits" not in repairs)
        self.face_factors = nn.Linear(2 * channels, 256)
        self.audio_factors = nn.Linear(512, 256)
        self.fused = nn.Linear(256, 400)
        self.logits = nn.Linear(400, outputs)

        p = 0.0 if "dropout" in repairs else 0.5
        self.drop, self.drop_maps = nn.Dropout(p), nn.Dropout2d(p)
        self.drop_glimpses = nn.Dropout2d()
        if "init" in repairs:
            self._initialize(channels)

    def _initialize(self, channels: int) -> None:
        """Draw weights as the parts of ``AttentionFusion`` do."""
        factors = (self.face_factors, self.audio_factors)
        for part in (self.hidden, self.glimpse_logits, *factors, self.fused, self.logits):
            init_he(part)
        init_side_by_side(self.hidden, (channels, 512))  # of face and voice
        for part in factors:
            nn.init.ones_(part.bias)
        nn.init.normal_(self.logits.weight, std=0.05)
        init_recurrent(self)

    def forward(self, clips: Clips) -> Scores:
        """Classify clips: log-probabilities ``[batch, classes]`` and what serves as glimpses."""
        face_map = self.face_encoder(clips.streams[self.face_encoder.stream])
        face_map = self.no_face(face_map, clips.has_face, clips.all_have_face)
        batch, size = len(face_map), face_map.shape[2:]
        repaired = "states" in self.repairs
        full = batch if repaired else self.first_states.shape[2]

        frames, length = clips.sequence(self.stream)
        frames = self.normalize(frames) * clips.has_audio[:, None, None]
        audio = self.encode_audio(_fill_batch(frames, full), length if repaired else None)
        if repaired:
            audio = audio * clips.has_audio[:, None]

        face, weights = self.attend(_fill_batch(face_map.flatten(3), full), audio)

        face_factors = F.relu(self.drop(self.face_factors(face)))
        product = face_factors * F.relu(self.drop(self.audio_factors(audio)))
        if "output" not in self.repairs:
            product = F.relu(product)

        logits = self.logits(F.relu(self.drop(self.fused(product))))[:batch]
        scores = logits if "output" in self.repairs else F.log_softmax(logits, dim=1)
        return Scores(scores, weights[:batch].unflatten(-1, size))

    def encode_audio(
        self,
        audio: Float[Tensor, "batch frames features"],
        length: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch audio_dim"]:
        """Average both LSTMs over the true frames, without ``length`` over all."""
        lower_first, upper_first = None, None
        if length is None:
            lower_hidden, upper_hidden, lower_cell, upper_cell = self.first_states
            lower_first, upper_first = (lower_hidden, lower_cell), (upper_hidden, upper_cell)

        lower, _ = self.lower(audio.transpose(0, 1), lower_first)
        upper, _ = self.upper(lower, upper_first)
        both = torch.cat([lower, upper], dim=2)
        return both.mean(dim=0) if length is None else MeanPooling()(both.transpose(0, 1), length)

    def attend(
        self,
        face_map: Float[Tensor, "batch channels rows columns"],
        audio: Float[Tensor, "batch audio_dim"],
    ) -> tuple[Float[Tensor, "batch face_dim"], Float[Tensor, "batch 2 positions"]]:
        """Collect a face vector, as written noisy and cut from the graph, and the glimpses."""
        tiled = audio[..., None, None].expand(-1, -1, *face_map.shape[2:])
        hidden = F.relu(self.drop_maps(self.hidden(torch.cat([face_map, tiled], dim=1))))
        logits = self.glimpse_logits(hidden)
        if "logits" not in self.repairs:
            logits = F.relu(self.drop_glimpses(logits))
        weights = logits.flatten(2).softmax(dim=2 if "softmax" in self.repairs else 0)

        positions = face_map.flatten(2)
        start = torch.zeros_like if "noise" in self.repairs else torch.randn_like
        factors = (positions, weights)
        if "gradients" not in self.repairs:
            factors = (positions.detach(), weights.detach())
        vectors = torch.baddbmm(start(positions[..., :2]), factors[0], factors[1].transpose(1, 2))
        return vectors.flatten(1), weights


def _fill_batch(features: Tensor, batch: int) -> Tensor:
    """Add clips of zeros up to a full batch; their scores are discarded."""
    missing = batch - len(features)
    if missing < 0:
        raise ValueError(
            f"Seed2017 was made for batches of {batch} clips, got {len(features)}: evaluate with "
            "the batch size of its training."
        )
    return torch.cat([features, features.new_zeros(missing, *features.shape[1:])])
