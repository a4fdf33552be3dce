"""Cocktail parties written out, every one of them once, and a network that knows their rules."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import torch
from conftest import clip_record, indexed, quiet_trainer
from torch import nn

from avfusion.corpora.cocktail_party import EMOTIONS, EXPRESSIONS, PITCHES
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.diagnostics.evidence import Evidence, RunClips
from avfusion.diagnostics.networks import TestedNetwork
from avfusion.features.clip import Stream
from avfusion.models.networks import Scores
from avfusion.training.task import FusionTask

UNLIKELY = 1e-4
FIRST = 1.01  # the first face is a little likelier, where nobody says who speaks


def write_parties(root: Path) -> Path:
    """Write a store of all parties of two faces: kinds and expressions, and who speaks and how.

    A face is [kind, expression] of both faces, a voice [kind, calm].
    """
    faces, voices, labels = [], [], []
    kinds = permutations(range(len(PITCHES)), 2)
    shown = product(range(len(EXPRESSIONS)), repeat=2)
    for (one, other), expressions, speaker, calm in product(kinds, shown, range(2), range(2)):
        faces.append([one, expressions[0], other, expressions[1]])
        voices.append([(one, other)[speaker], calm])
        labels.append(EMOTIONS[2 * expressions[speaker] + calm])

    streams = {
        "face_facts": Stream("face", "vector", (4,), "float32").plain(),
        "voice_facts": Stream("audio", "vector", (2,), "float32").plain(),
    }
    records = (
        clip_record(f"{number:03}", label=label, subject=f"s{number % 12}", split="test",
                    has_face=True, place=number)
        for number, label in enumerate(labels)
    )  # fmt: skip
    features = {"audio": {}, "face": {}}
    indexed(root, records, output_names=list(EMOTIONS), streams=streams, features=features)
    for name, values in (("face_facts", faces), ("voice_facts", voices)):
        (root / name).mkdir()
        np.save(root / name / "00000.npy", np.array(values, np.float32))
    return root


class Oracle(nn.Module):
    """Answer with the probability of each emotion, by the rules of the cocktail party."""

    missing = "zeros"

    def forward(self, clips):
        face, voice = (clips.streams[name].long() for name in ("face_facts", "voice_facts"))
        speaks = torch.stack([face[:, 0], face[:, 2]], dim=1) == voice[:, :1]
        unknown = ~clips.has_audio | ~speaks.any(dim=1)
        chance = torch.where(unknown[:, None], torch.tensor([FIRST, 1.0]), speaks.float())
        expressions = nn.functional.one_hot(face[:, [1, 3]], len(EXPRESSIONS)).float()
        pairs = (chance / chance.sum(dim=1, keepdim=True))[..., None].mul(expressions).sum(dim=1)
        pairs[~clips.has_face] = 1 / len(EXPRESSIONS)
        arousal = nn.functional.one_hot(voice[:, 1], 2).float()
        arousal[~clips.has_audio] = 1 / 2
        probabilities = (pairs[:, :, None] * arousal[:, None]).flatten(1)
        return Scores((probabilities + UNLIKELY).log(), None)


def examine(data: FaceAudioDataModule, network: nn.Module, **options: object) -> Evidence:
    """Evidence on the tested clips of some data, of a network that answers them here."""
    task = FusionTask(network, nn.CrossEntropyLoss(), data.target)
    tested = TestedNetwork(task, data, quiet_trainer())
    rows, outputs, targets = tested.compute().labeled(data.target)
    ids, subjects = (np.array(data.store.texts(name))[rows] for name in ("clip_id", "subject"))
    parts = [RunClips(None, 0, np.arange(len(rows)), rows)]
    return Evidence(
        "run", "test", data.target, ids, subjects, targets, outputs[None], parts, **options,
        networks=[tested],
    )  # fmt: skip
