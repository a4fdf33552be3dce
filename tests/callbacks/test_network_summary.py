import logging

from conftest import build_for, quiet_trainer

from avfusion.callbacks import NetworkSummary
from avfusion.data.datamodule import FaceAudioDataModule


def test_every_part_with_parameters_has_a_row_and_no_metric_has_one(party_store, caplog):
    caplog.set_level(logging.INFO)
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    task = build_for(data, "lowrank")
    task.network.face_encoder.requires_grad_(False)
    trainer = quiet_trainer(callbacks=[NetworkSummary()], max_steps=1, limit_val_batches=0)
    trainer.fit(task, datamodule=data)
    (table,) = [message for message in caplog.messages if "Params" in message]
    cells = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    rows = [row for row in cells if len(row) == 4]
    parts = {name: part for name, part in task.network.named_children() if [*part.parameters()]}
    assert [row[:2] for row in rows] == [
        ["Name", "Type"],
        ["network", "AttentionFusion"],
        *([f"network.{name}", type(part).__name__] for name, part in parts.items()),
    ]
    frozen = sum(parameter.numel() for parameter in task.network.face_encoder.parameters())
    (counted,) = [line for line in table.splitlines() if line.endswith("Non-trainable params")]
    assert counted.startswith(f"{frozen / 1000:.1f} K")
    assert "flops" not in table.lower()
