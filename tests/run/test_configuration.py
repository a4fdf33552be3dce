"""Claims about what programs read off a configuration."""

from avfusion.run.configuration import collect_overridden, flatten_scalars


def test_flattened_scalars_are_named_by_their_path():
    config = {
        "_target_": "a.B",
        "_partial_": True,
        "lr": 0.1,
        "names": ["x"],
        "none": None,
        "inner": {"hidden": 3, "deep": {"kind": "y", "_target_": "a.C"}},
    }
    assert flatten_scalars(config, "net.") == {
        "net.lr": 0.1,
        "net.inner.hidden": 3,
        "net.inner.deep.kind": "y",
    }


def test_every_override_is_a_hyperparameter_under_its_own_key():
    config = {"seed": 3, "optimizer": {"lr": 0.5, "name": "a"}, "callbacks": {"stop": {"n": 5}}}
    given = ["model=lowrank", "optimizer.lr=1e-1", "+callbacks.stop.n=5", "x=[1,2]", "~trainer.b"]
    trial = ["callbacks.pruning.trial=4"]
    assert collect_overridden(config, given + trial) == {
        "model": "lowrank",
        "optimizer.lr": 0.5,  # as it was resolved
        "callbacks.stop.n": 5,
        "x": "[1,2]",
    }
