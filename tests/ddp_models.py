"""Train models for two steps in each of two processes of torchrun: python -m torch.distributed.run.

Arguments: a store, a folder for what each process ends with, models, each with remedies after a +.
"""

import sys
import warnings
from pathlib import Path

import lightning as L
import torch
from conftest import build_for, load
from hydra.utils import instantiate

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run.build import allow_unused_parameters

SMALLER = {"seed2017": ["model.network.num_layers=2"]}  # 49 take a minute


def train(store: str, case: str) -> dict:
    """Train one model, and return what this process has then."""
    model, *remedies = case.split("+")
    chosen = (f"remedy=[{','.join(remedies)}]",) if remedies else ()
    cfg, plain = (load("train", "callbacks=minimal", *given) for given in (chosen, ()))
    augmentation = instantiate(cfg.data.augmentation)
    balance = cfg.data.balance
    data = FaceAudioDataModule(store, batch_size=4, augmentation=augmentation, balance=balance)
    torch.manual_seed(0)
    task = build_for(data, model, "data.batch_size=4", *SMALLER.get(model, []), *chosen)
    added = [name for name in cfg.callbacks if name not in plain.callbacks]
    trainer = L.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_steps=2,
        callbacks=[instantiate(cfg.callbacks[name]) for name in added],
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    allow_unused_parameters(trainer, task, data)
    looks = bool(trainer.strategy._ddp_kwargs.get("find_unused_parameters"))
    before = {name: value.clone() for name, value in task.named_parameters()}
    trainer.fit(task, datamodule=data)
    after = dict(task.named_parameters())
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    weights = {name: value.detach() for name, value in after.items()}
    return {"weights": weights, "changed": changed, "looks": looks, "steps": trainer.global_step}


def main() -> None:
    warnings.simplefilter("ignore")
    store, folder, *models = sys.argv[1:]
    for model in models:
        found = train(store, model)
        rank = torch.distributed.get_rank()
        torch.save(found, Path(folder) / f"{model}_{rank}.pt")


if __name__ == "__main__":
    main()
