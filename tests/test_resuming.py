"""A run that is killed ends where an uninterrupted one does, bit by bit."""

import pytest
import torch
from conftest import results

pytestmark = pytest.mark.slow
# Six steps in each of four epochs, with all that is random: augmentation, dropout, order.
RUN = (
    "data.corpus.clips={train: 36, val: 15, test: 13}",
    "data.features.face.size=64",
    "data/augmentation=default",
    "data.batch_size=6",
    "model.network.audio_encoder.hidden_dim=32",
    "model.network.head.dropout=0.3",
    "model.network.modality_dropout=0.3",
    "trainer.accelerator=cpu",
    "trainer.devices=1",
    "trainer.max_epochs=4",
)
# Within epochs, at their ends, twice in one epoch, and once where only the first one is written.
KILLS = [("SIGTERM", 3), ("SIGKILL", 8), ("SIGTERM", 9), ("SIGTERM", 12), ("SIGKILL", 17)]
KILLS += [("SIGTERM", 22)]
OTHER = ("data.num_workers=2", "model/missing=imagined", "callbacks=minimal")


def last_weights(folder):
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["state_dict"]


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("options", [(), OTHER])
def test_a_run_that_is_killed_again_and_again_ends_with_the_weights_of_one_that_is_not(
    run, tmp_path, options
):
    options = (*RUN, *options)
    run("train", *options, f"hydra.run.dir={tmp_path}/whole")
    killed, codes = tmp_path / "killed", []
    for number, (signal, step) in enumerate(KILLS):
        kill = (
            "+callbacks.kill._target_=signal_callback.SignalCallback",
            f"+callbacks.kill.name={signal}",
        )
        where = f"hydra.run.dir={killed}" if number == 0 else f"ckpt_path={killed}"
        process = run("train", *options, *kill, f"+callbacks.kill.step={step}", where, fails=True)
        codes.append(process.returncode)
    assert codes == [143 if signal == "SIGTERM" else -9 for signal, _ in KILLS]
    run("train", *options, f"ckpt_path={killed}")

    ours, theirs = last_weights(killed), last_weights(tmp_path / "whole")
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    tested = {name: value for name, value in results(killed).items() if name.startswith("test/")}
    whole = results(tmp_path / "whole")
    assert tested == {name: whole[name] for name in tested}


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(run, tmp_path):
    brief = (*RUN, "callbacks=minimal")
    run("train", *brief, "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}")
    before = last_weights(tmp_path)
    size = (tmp_path / "checkpoints" / "last.ckpt").stat().st_size
    limited = f'ulimit -f {size // 2048}; exec "$0" "$@"'  # blocks of 512 bytes or 1 KiB
    full = run("train", *brief, f"ckpt_path={tmp_path}", fails=True, shell=limited)
    assert "File too large" in full.stderr
    after = last_weights(tmp_path)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not list((tmp_path / "checkpoints").glob("*.partial"))
