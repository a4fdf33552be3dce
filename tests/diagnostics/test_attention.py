"""Claims about attention: how it looks, and whether the answer rests on it."""

import numpy as np
import pytest
import torch
from conftest import build_for, quiet_trainer
from torch import nn

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.diagnostics.attention import (
    CHANGED_FRACTIONS,
    Attention,
    describe_layers,
    replace_positions,
)
from avfusion.diagnostics.evidence import RunClips
from avfusion.diagnostics.networks import TestedNetwork
from avfusion.diagnostics.section import NotMeasured
from avfusion.models.layers.layer_weights import LayerWeights
from avfusion.models.networks import Scores

from .evidence_by_hand import evidence_of
from .oracle import examine

GRID = 4  # rows and columns of the maps of the networks below


class Cells(nn.Module):
    """A face map that holds the label of its clip in one cell, and zeros elsewhere."""

    stream = "frames"

    def __init__(self, data: FaceAudioDataModule) -> None:
        super().__init__()
        rows = data.splits.rows("test")
        self.pictures = torch.stack([data.store.clip("frames", row) for row in rows.tolist()])
        self.labels = torch.from_numpy(data.target.read_labels(data.store)[rows])

    def forward(self, frames):
        own = (frames[:, None] - self.pictures / 255).abs().flatten(2).sum(dim=2).argmin(dim=1)
        face_map = torch.zeros(len(frames), 8, 1, GRID, GRID)
        face_map[torch.arange(len(frames)), self.labels[own], 0, 1, 2] = 1
        return face_map


class Looker(nn.Module):
    """Add up what all cells hold, and point at the cell ``at`` whatever they hold."""

    def __init__(self, data: FaceAudioDataModule, at: tuple[int, int]) -> None:
        super().__init__()
        self.face_encoder, self.at = Cells(data), at

    def forward(self, clips):
        face_map = self.face_encoder(clips.streams["frames"])
        glimpses = torch.full((len(face_map), 2, 1, GRID, GRID), 0.01)
        glimpses[:, :, :, self.at[0], self.at[1]] = 0.85
        return Scores(20 * face_map.flatten(2).amax(dim=2), glimpses)


@pytest.fixture(scope="module")
def data(party_store):
    return FaceAudioDataModule(str(party_store), batch_size=5)


def test_glimpses_have_the_entropy_and_the_agreement_of_their_weights(data):
    found = Attention().measure(examine(data, Looker(data, (1, 2)))).numbers
    weights = np.array([0.85] + [0.01] * 15)
    assert found["entropy"] == pytest.approx(-(weights * np.log(weights)).sum(), rel=1e-5)
    assert found["highest_entropy"] == pytest.approx(np.log(16))
    assert found["largest_weight"] == pytest.approx(0.85)
    assert found["agreement"] == pytest.approx(1, rel=1e-5)


def test_a_glimpse_cannot_look_at_padding(data, monkeypatch):
    """One that looks everywhere alike has the highest entropy, the logarithm of its steps."""

    class Steps(nn.Module):
        stream = "mfcc"

        def forward(self, frames):
            return frames.transpose(1, 2)[..., None, None]

    class Even(nn.Module):
        def __init__(self):
            super().__init__()
            self.face_encoder = Steps()

        def forward(self, clips):
            frames, lengths = clips.sequence("mfcc")
            self.face_encoder(frames)
            known = torch.arange(frames.shape[1]) < lengths[:, None]
            glimpses = (known / lengths[:, None])[:, None, :, None, None]
            return Scores(torch.zeros(len(lengths), 8), glimpses)

    steps = 2 + np.arange(len(data.store)) % 17  # of 19
    monkeypatch.setattr(data.store, "lengths", lambda name: steps)
    found = Attention().measure(examine(data, Even())).numbers
    expected = pytest.approx(np.log(steps[data.splits.rows("test")]).mean(), rel=1e-5)
    assert found["entropy"] == expected and found["highest_entropy"] == expected


def test_attention_at_what_the_answer_rests_on_is_faithful(data):
    section = Attention().measure(examine(data, Looker(data, (1, 2))))
    deletion, insertion = section.charts
    curve = dict(zip(deletion.lines[0].x, deletion.lines[0].y, strict=True))
    assert curve[0.0] == pytest.approx(1, abs=1e-4)
    # Without its cell, each position holds a sixteenth of the label: a logit of 20 / 16.
    left = np.exp(20 / 16) / (np.exp(20 / 16) + 7)
    assert curve[1 / 16] == curve[1.0] == pytest.approx(left, rel=1e-4)
    assert insertion.lines[0].y[1] == pytest.approx(1, abs=1e-4)
    assert section.numbers["deletion/between"] > 0.2 < section.numbers["insertion/between"]
    area = np.trapezoid(deletion.lines[0].y, CHANGED_FRACTIONS)
    assert section.numbers["deletion/attention"] == pytest.approx(area)


def test_attention_elsewhere_is_not(data):
    class Late(Looker):
        """Point at all cells but the one that counts, and at that one least."""

        def forward(self, clips):
            scores = super().forward(clips)
            return scores._replace(glimpses=(1 - scores.glimpses) / (GRID**2 - 1))

    numbers = Attention().measure(examine(data, Late(data, (1, 2)))).numbers
    assert numbers["deletion/between"] < -0.2 and numbers["insertion/between"] < -0.2


def test_replaced_positions_hold_the_mean_of_the_known_ones():
    face_map = torch.arange(8.0).view(1, 2, 1, 2, 2)
    known = torch.tensor([[True, True, True, False]])  # the last one is padding
    replaced = torch.tensor([[True, False, False, False]])
    found = replace_positions(face_map, replaced, known)
    assert found.flatten(2)[0].tolist() == [[1, 1, 2, 3], [5, 5, 6, 7]]


def test_weights_of_layers_are_the_mean_over_networks(data):
    networks = []
    for shares in ((1, 2, 5), (1, 1, 2)):
        task = build_for(data, "lowrank")
        task.network.audio_encoder.layer_weights = LayerWeights(3)
        task.network.audio_encoder.layer_weights.logits.data = torch.tensor(shares).log()
        networks.append(TestedNetwork(task, data, quiet_trainer()))

    parts = [RunClips(None, 0, None, None, number) for number in range(2)]
    section = describe_layers(evidence_of([[1.0, 0.0]], [0], networks=networks, parts=parts))
    expected = [(1 / 8 + 1 / 4) / 2, (2 / 8 + 1 / 4) / 2, (5 / 8 + 1 / 2) / 2]
    assert list(section.numbers.values()) == pytest.approx(expected, abs=1e-6)
    assert next(iter(section.numbers)) == "layers/audio_encoder/0"
    assert section.charts[0].lines[0].y == pytest.approx(expected, abs=1e-6)
    without = examine(data, build_for(data, "lowrank").network)
    assert not describe_layers(without).numbers


@pytest.mark.parametrize("model", ["lowrank", pytest.param("bottleneck", marks=pytest.mark.slow)])
def test_what_encoders_gave_is_played_back_as_they_gave_it(model, data):
    evidence = examine(data, build_for(data, model).network)
    network = evidence.networks[0].network
    encoder = network.face_encoder
    before = encoder.forward

    section = Attention(clips=3).measure(evidence)
    among = np.sort(np.random.default_rng(0).permutation(12)[:3])
    clips = data.dataset("test").__getitems__(among.tolist()).with_floats()

    def blank(*given):
        face_map = before(*given)
        return face_map.mean(dim=(2, 3, 4), keepdim=True).expand_as(face_map)

    encoder.forward = blank  # all positions hold the mean, by another route
    with torch.inference_mode():
        empty = network(clips).logits.softmax(dim=1)
    encoder.forward = before
    labels = torch.from_numpy(evidence.targets[among])
    expected = float(empty[torch.arange(3), labels].mean())
    curve = next(chart for chart in section.charts if chart.name == "deletion").lines[0]
    assert curve.y[-1] == pytest.approx(expected, rel=1e-4)


def test_a_network_without_attention_has_none_and_one_of_one_cell_nothing_to_delete(
    data, recordings_store
):
    voices = FaceAudioDataModule(str(recordings_store), batch_size=5, streams=("mfcc",))
    section = Attention().measure(examine(voices, build_for(voices, "audio_only").network))
    assert section.summary == "This network has no attention." and not section.numbers

    class One(Looker):
        def forward(self, clips):
            self.face_encoder(clips.streams["frames"])
            return Scores(torch.zeros(len(clips.row), 8), torch.ones(len(clips.row), 1, 1, 1, 1))

    section = Attention().measure(examine(data, One(data, (0, 0))))
    assert "entropy" in section.numbers and not section.charts
    assert any("one position" in note for note in section.notes)
    with pytest.raises(NotMeasured, match="forward passes"):
        evidence = examine(data, One(data, (0, 0)))
        Attention().measure(type(evidence)(**vars(evidence) | {"networks": ()}))
