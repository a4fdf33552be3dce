"""Claims about the word that was meant."""

import pytest

from avfusion.run.suggestions import find_nearest, find_nearest_key

CONFIG = {
    "seed": 0,
    "mode": "max",
    "model": {"network": {"fusion": {"_target_": "a.B", "dim": 8}}, "dim": 3},
    "trainer": {"max_epochs": 8, "devices": 1},
    "data": {"batch_size": 32},
    "optimizer": {"lr": 0.1},
}


@pytest.mark.parametrize(
    ("word", "meant"),
    [("modle", "model"), ("MODEL", "model"), ("model ", "model"), ("mod", "mode"), ("xyz", None)],
)
def test_the_nearest_word_has_the_same_letters_or_most_of_them(word, meant):
    assert find_nearest(word, ["mode", "model", "seed"]) == meant


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("sede", "seed"),
        ("trainer.max_epoch", "trainer.max_epochs"),
        ("trianer.max_epoch", "trainer.max_epochs"),
        ("model.netwrok.fusion.dim", "model.network.fusion.dim"),
        ("mode.network.fusion.dim", "model.network.fusion.dim"),
        ("lr", "optimizer.lr"),
        ("model.lr", "optimizer.lr"),
        ("trainer.batch_size", "data.batch_size"),
        ("epochs", "trainer.max_epochs"),
        ("network.fusion.dim", "model.network.fusion.dim"),
        ("dim", "model.dim"),
        ("seed.x", None),
        ("xyzzy", None),
    ],
)
def test_the_nearest_key_is_looked_for_in_its_place_and_elsewhere(key, meant):
    assert find_nearest_key(key, CONFIG) == meant


def test_the_target_of_a_group_is_no_key():
    assert find_nearest_key("model.network.fusion.target", CONFIG) is None
