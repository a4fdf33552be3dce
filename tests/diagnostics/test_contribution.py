"""Claims about the contribution of modalities, where it is known by construction."""

import numpy as np
import pytest
import torch
from conftest import build_for

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.diagnostics.contribution import (
    Contribution,
    compute_shapley_values,
    find_winners,
    project_additively,
)
from avfusion.diagnostics.section import NotMeasured
from avfusion.diagnostics.subsets import Subsets
from avfusion.models.networks import Scores

from .oracle import Oracle, examine, write_parties


@pytest.fixture(scope="module")
def parties(tmp_path_factory):
    """Evidence of a network that knows the rules, on all 384 parties."""
    root = write_parties(tmp_path_factory.mktemp("parties") / "store")
    streams = ("face_facts", "voice_facts")
    data = FaceAudioDataModule(
        str(root), streams=streams, batch_size=8192, allow_untrained_classes=True
    )
    return examine(data, Oracle())


def test_what_knows_the_rules_of_the_cocktail_party_scores_its_ceilings(parties):
    section = Subsets().measure(parties)
    table = {row[0]: row[1][0] for row in section.tables[0].rows}
    expected = {"both": 1, "face only": 0.3125, "audio only": 0.25, "none": 0.125}
    assert len(parties) == 384 and table == pytest.approx(expected)
    numbers = {key: section.numbers[f"network/{key}/accuracy"] for key in ("both", "face_only")}
    assert numbers == pytest.approx({"both": 1, "face_only": 0.3125})
    assert section.numbers["confidence_rises/face_only"] == 0


def test_both_modalities_share_its_score_by_shapley(parties):
    shared = Contribution().compute_shapley_values(parties)["accuracy"]
    assert all(low < value < high for value, low, high in (shared["face"], shared["audio"]))
    found = {name: value for name, (value, *_) in shared.items()}
    assert found["face"] == pytest.approx(((0.3125 - 0.125) + (1 - 0.25)) / 2)
    assert found["audio"] == pytest.approx(((0.25 - 0.125) + (1 - 0.3125)) / 2)
    assert found["face"] + found["audio"] == pytest.approx(found["both"] - found["none"])
    assert found["synergy"] == pytest.approx(1 - 0.3125 - 0.25 + 0.125)


def test_without_interaction_who_speaks_has_to_be_guessed(parties):
    # Arousal and expression add up in logits; which of two faces speaks is in neither alone: the
    # right one is guessed in half of the clips, and in a quarter of the others both look the same.
    found = Contribution(clips=384).compare_projections(parties)["accuracy"]
    assert found["network"] == 1 and found["EMAP"] == pytest.approx(1 / 2 + 1 / 2 * 1 / 4)
    assert found["interaction"] == pytest.approx(3 / 8)


def test_where_two_bits_are_compared_nothing_is_left_without_interaction():
    sign = np.array([-1.0, 1.0])
    pairs = sign[:, None] * sign  # of a face and a voice: whether they agree
    every = np.stack([pairs, -pairs], axis=2)
    assert project_additively(every) == pytest.approx(np.zeros((2, 2)))


def test_what_adds_up_is_its_own_projection():
    random = np.random.default_rng(0)
    face, voice = random.standard_normal((2, 6, 3))
    every = face[:, None] + voice[None]
    assert project_additively(every) == pytest.approx(face + voice)


def test_the_projection_is_the_nearest_sum_by_least_squares():
    every = np.random.default_rng(0).standard_normal((4, 5 - 1, 1))
    faces, voices = np.divmod(np.arange(16), 4)
    design = np.concatenate([np.eye(4)[faces], np.eye(4)[voices]], axis=1)
    fitted, *_ = np.linalg.lstsq(design, every.reshape(16), rcond=None)
    expected = (design @ fitted).reshape(4, 4).diagonal()
    assert project_additively(every)[:, 0] == pytest.approx(expected)


def test_shapley_values_are_those_of_a_case_by_hand():
    found = compute_shapley_values(both=0.9, face=0.6, audio=0.3, none=0.2)
    assert found["face"] == pytest.approx(0.5 * (0.6 - 0.2) + 0.5 * (0.9 - 0.3))
    assert found["audio"] == pytest.approx(0.5 * (0.3 - 0.2) + 0.5 * (0.9 - 0.6))
    assert found["synergy"] == pytest.approx(0.2)
    same = compute_shapley_values(both=0.9, face=0.9, audio=0.1, none=0.1)  # the voice is ignored
    assert (same["face"], same["audio"], same["synergy"]) == pytest.approx((0.8, 0, 0))


def test_the_label_that_a_mispaired_clip_follows_is_that_of_one_side_or_of_neither():
    classes = np.eye(3, dtype=bool)
    found, face, voice = classes[[0, 1, 2]], classes[[0, 0, 0]], classes[[1, 1, 1]]
    assert find_winners(found, face, voice, True).tolist() == np.eye(3).tolist()
    found, face = np.array([[True, False, True]]), np.array([[True, True, True]])
    voice = np.array([[False, False, True]])  # the third class is in both labels
    assert find_winners(found, face, voice, False).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_a_network_that_only_listens_follows_the_voice_of_mispaired_clips(party_store):
    data = FaceAudioDataModule(str(party_store), batch_size=5)

    class Listener(torch.nn.Module):
        def forward(self, clips):
            rows = data.splits.rows("test")  # knows each voice by its sum
            sums = torch.tensor(
                [float(data.store.clip("mfcc", row).sum()) for row in rows.tolist()]
            )
            own = clips.streams["mfcc"].flatten(1).sum(dim=1)
            nearest = (own[:, None] - sums).abs().argmin(dim=1)
            labels = torch.from_numpy(data.target.read_labels(data.store)[rows])
            return Scores(torch.nn.functional.one_hot(labels[nearest], 8).float(), None)

    evidence = examine(data, Listener())
    assert Contribution().measure_mispaired(evidence) == {"face": 0, "voice": 1, "neither": 0}
    shared = Contribution().compute_shapley_values(evidence)["accuracy"]
    assert shared["face"] == (0, 0, 0)
    assert shared["audio"][0] == pytest.approx(1 - shared["none"][0])
    assert Contribution(clips=12).compare_projections(evidence)["accuracy"][
        "interaction"
    ] == pytest.approx(0)


@pytest.mark.slow
def test_outputs_for_all_pairs_are_those_of_each_pair_alone(party_store):
    data = FaceAudioDataModule(str(party_store), batch_size=4)
    for model in ("concat", "bottleneck"):
        evidence = examine(data, build_for(data, model).network)
        (network,), rows = evidence.networks, evidence.parts[0].rows[:5]
        every = network.compute_every_pair(rows)
        clips = data.dataset("test").__getitems__([*range(12)]).with_floats()
        for face, voice in ((0, 0), (1, 4), (4, 2)):
            pair = clips.map(lambda part, at=face: part[[at]])
            other = clips.map(lambda part, at=voice: part[[at]])
            pair = pair.with_stream("mfcc", other.streams["mfcc"])
            pair = pair._replace(lengths=other.lengths)
            with torch.inference_mode():
                alone = network.network(pair).logits[0].numpy()
            assert every[face, voice] == pytest.approx(alone, abs=1e-5)


def test_one_modality_alone_has_nothing_to_share(party_store):
    data = FaceAudioDataModule(str(party_store), batch_size=12, streams=("mfcc",))
    evidence = examine(data, build_for(data, "audio_only").network)
    with pytest.raises(NotMeasured, match="reads the audio alone"):
        Contribution().measure(evidence)
    numbers = Subsets().measure(evidence).numbers
    assert {key.split("/")[1] for key in numbers if key.startswith("network")} == {
        "audio_only", "none",
    }  # fmt: skip
