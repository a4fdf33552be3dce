"""Accuracy of networks on the embedded corpus, the longest of the tests."""

import pytest
from conftest import results

# Training clips as in the corpus itself, and fewer that are only looked at; smaller pictures and a
# narrower LSTM, which learn alike in a quarter of the time.
CORPUS = ("data.corpus.clips={train: 4000, val: 250, test: 1000}", "data.features.face.size=64")
NARROW = "model.network.audio_encoder.hidden_dim=64"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def scores(run, tmp_path_factory):
    """Train a model as the command line does; return its results."""

    def train(*overrides: str) -> dict:
        folder = tmp_path_factory.mktemp("run")
        brief = ("trainer.devices=1", "seed=1", "callbacks=minimal", f"hydra.run.dir={folder}")
        run("train", *CORPUS, *overrides, *brief)
        return results(folder)

    return train


@pytest.fixture(scope="module")
def lowrank(scores):
    """The network, trained until it answers three of four validation clips.

    Training is chaotic. Of twenty runs (ten seeds, one and two threads) 19 got there in the second
    epoch and one in the third, with an attention_hit of 0.75 at least; all ended above 0.97.
    """
    return scores("model=lowrank", NARROW, "+callbacks.early_stopping.stopping_threshold=0.75")


def test_the_network_learns_to_look_at_the_one_who_speaks(lowrank):
    """The ceilings without listening are 0.3125 and 0.5."""
    assert lowrank["test/accuracy"] >= 0.65
    assert lowrank["test/attention_hit"] >= 0.6


def test_without_looking_it_learns_less_in_the_same_time(scores, lowrank):
    uniform = scores("model=uniform", NARROW, f"trainer.max_epochs={lowrank['epochs']}")
    assert uniform["test/accuracy"] <= lowrank["test/accuracy"] - 0.15


@pytest.mark.parametrize(
    ("model", "options", "ceiling"),
    [("audio_only", [NARROW], 0.25), ("face_only", [], 0.3125)],
    ids=["audio_only", "face_only"],
)
def test_one_modality_alone_is_better_than_chance_and_stays_below_its_ceiling(
    scores, model, options, ceiling
):
    """Measured with three seeds: 0.250 to 0.265 and 0.281 to 0.305; they deviate by 0.014."""
    found = scores(f"model={model}", *options, "trainer.max_epochs=2")
    assert 1 / 8 + 0.05 <= found["test/accuracy"] <= ceiling + 0.05
