"""Claims about averages of the weights."""

import lightning as L
import pytest
import torch
from conftest import build_for, load, quiet_trainer
from lightning.pytorch.callbacks import Callback

from avfusion.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from avfusion.callbacks.ema import EMA
from avfusion.data.datamodule import FaceAudioDataModule

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory")


class Weights(Callback):
    """Keep one tensor of the network after every step, and as it is validated and tested."""

    def __init__(self):
        self.steps, self.validated, self.tested = [], [], []

    def weight_of(self, task):
        return task.network.head.logits.weight.detach().double().clone()

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.steps.append(self.weight_of(pl_module))

    def on_validation_batch_start(self, trainer, pl_module, *_):
        self.validated.append(self.weight_of(pl_module))

    def on_test_batch_start(self, trainer, pl_module, *_):
        self.tested.append(self.weight_of(pl_module))


def average(steps, decay):
    """The closed form: the first weights decay, each later one adds its part."""
    last = len(steps) - 1
    parts = [(1 - decay) * decay ** (last - n) * steps[n] for n in range(1, last + 1)]
    return sum(parts, decay**last * steps[0])


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["best", "last"])
def test_the_average_is_validated_kept_and_tested(party_store, tmp_path, kept):
    data, watch = FaceAudioDataModule(str(party_store), batch_size=8), Weights()
    checkpoint = {
        "best": BestCheckpoint(str(tmp_path), "val/loss", "min"),
        "last": LastCheckpoint(str(tmp_path)),
    }[kept]
    task = build_for(data, "lowrank", "optimizer.lr=0.02", "scheduler=constant")
    trainer = quiet_trainer(
        max_epochs=2,
        num_sanity_val_steps=0,
        enable_checkpointing=True,
        callbacks=[EMA(decay=0.8), watch, checkpoint],
    )
    trainer.fit(task, datamodule=data)
    assert len(watch.steps) == 6
    expected = [average(watch.steps[:n], 0.8) for n in (3, 6)]
    for found, one in zip(watch.validated, expected, strict=True):
        torch.testing.assert_close(found, one, rtol=0, atol=1e-6)
    assert (expected[1] - watch.steps[-1]).abs().max() > 1e-3

    best = checkpoint.best_model_path
    chosen = expected[torch.load(best, weights_only=True)["epoch"]]
    trainer.test(task, datamodule=data, ckpt_path=best, weights_only=True, verbose=False)
    torch.testing.assert_close(watch.tested[0], chosen, rtol=0, atol=1e-6)
    state = torch.load(best, weights_only=True)["state_dict"]["network.head.logits.weight"]
    assert torch.equal(state.double(), watch.tested[0])


def test_averages_are_updated_before_what_saves_them(monkeypatch):
    from hydra.utils import instantiate

    from avfusion.run import build

    cfg = load("train", "remedy=ema", "callbacks=minimal", "trainer=cpu")
    cfg.callbacks = {name: cfg.callbacks[name] for name in ("preemption", "ema")}
    made: dict[str, list[L.Callback]] = {}

    def no_trainer(given, **options):
        if given is not cfg.trainer:
            return instantiate(given, **options)
        made.update(options)
        raise InterruptedError

    monkeypatch.setattr(build, "instantiate", no_trainer)
    monkeypatch.setattr(build, "build_loggers", lambda loggers: [])
    with pytest.raises(InterruptedError):
        build.build_trainer(cfg)
    assert [type(one).__name__ for one in made["callbacks"]] == ["EMA", "Preemption"]


@pytest.mark.parametrize("decay", [1.0, -0.1])
def test_a_decay_that_averages_nothing_is_refused(decay):
    with pytest.raises(ValueError, match=r"callbacks.ema.decay must lie in \[0, 1\), got"):
        EMA(decay)
