"""What the networks reach on the whole embedded corpus: a few minutes on two cores."""

import pytest
from conftest import results

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def scores(run, tmp_path_factory):
    """Train a model as the command line does; return its results."""

    def train(*overrides: str) -> dict:
        folder = tmp_path_factory.mktemp("run")
        run("train", *overrides, "trainer.devices=1", "seed=1", f"hydra.run.dir={folder}")
        return results(folder)

    return train


@pytest.fixture(scope="module")
def lowrank(scores):
    return scores("model=lowrank")


def test_the_network_learns_to_look_at_the_one_who_speaks(lowrank):
    """The ceilings without listening are 0.3125 and 0.5.

    Training is chaotic: ten runs ended at 0.989 and 0.958 at least, but on another machine one may
    find the small faces late, so that a bound near the usual score could fail by chance.
    """
    assert lowrank["test/accuracy"] >= 0.7
    assert lowrank["test/attention_hit"] >= 0.65


def test_without_looking_it_learns_less_in_the_same_time(scores, lowrank):
    uniform = scores("model=uniform", "callbacks=minimal")
    assert uniform["test/accuracy"] <= lowrank["test/accuracy"] - 0.15


@pytest.mark.parametrize(
    ("model", "ceiling", "margin"), [("audio_only", 0.25, 0.04), ("face_only", 0.3125, 0.05)]
)
def test_one_modality_alone_stays_at_its_ceiling(scores, model, ceiling, margin):
    found = scores(f"model={model}", "callbacks=minimal")
    assert found["test/accuracy"] == pytest.approx(ceiling, abs=margin)
