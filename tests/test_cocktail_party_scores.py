"""What the first command reaches, and what it must not reach."""

import pytest
from conftest import results

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def score(run, tmp_path_factory):
    """Train with the default configuration but for some overrides; return the results."""

    def score(*overrides: str) -> dict:
        folder = tmp_path_factory.mktemp("run")
        run("train", "trainer=cpu", f"hydra.run.dir={folder}", *overrides)
        return results(folder)

    return score


@pytest.fixture(scope="module")
def lowrank(score) -> dict:
    return score("model=lowrank")


def test_a_network_that_listens_finds_the_speaker(lowrank):
    assert lowrank["test/accuracy"] >= 0.95
    assert lowrank["test/attention_hit"] >= 0.88


def test_the_voice_alone_cannot_do_better_than_its_ceiling(score):
    assert score("model=audio_only")["test/accuracy"] == pytest.approx(0.25, abs=0.04)


def test_the_faces_alone_cannot_do_better_than_their_ceiling(score):
    assert score("model=face_only")["test/accuracy"] == pytest.approx(0.3125, abs=0.05)


def test_looking_everywhere_alike_costs_a_third(score, lowrank):
    uniform = score("model=lowrank", "model/attention=uniform")
    assert uniform["test/accuracy"] <= lowrank["test/accuracy"] - 0.3
