"""Claims about temperature scaling."""

import json

import numpy as np
import pytest
import torch
from conftest import build, toy_clips

from avfusion.diagnostics.temperature import (
    FILE_NAME,
    TEMPERATURE_RANGE,
    fit_temperature,
    read_temperature,
    scale_outputs,
    write_temperature,
)
from avfusion.targets import choose_target

SINGLE = choose_target({"labels": "single_label", "output_names": ["a", "b"]})
MULTI = choose_target({"labels": "multi_label", "output_names": ["a", "b"]})


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_is_what_logits_of_the_right_frequencies_were_multiplied_by(temperature):
    # Nine of ten clips are what they are said to be, seven of ten with another confidence.
    sure = np.log([[0.9, 0.1]] * 10 + [[0.3, 0.7]] * 10)
    labels = np.array([0] * 9 + [1] + [1] * 7 + [0] * 3)
    found = fit_temperature(SINGLE, temperature * sure, labels)
    assert found == pytest.approx(temperature, rel=1e-3)

    each = np.array([np.log(9), np.log(7 / 3)])  # of a class in 9 of 10 clips, and in 7 of 10
    has = np.stack([np.arange(10) < 9, np.arange(10) < 7], axis=1).astype(np.int64)
    found = fit_temperature(MULTI, temperature * np.tile(each, (10, 1)), has)
    assert found == pytest.approx(temperature, rel=1e-3)


def test_clips_that_are_all_right_say_nothing_of_a_temperature():
    assert fit_temperature(SINGLE, np.array([[2.0, 0.0]] * 4), np.zeros(4, np.int64)) == 1
    worse = fit_temperature(SINGLE, np.array([[2.0, 0.0]] * 4), np.array([0, 0, 1, 1]))
    assert worse == pytest.approx(
        TEMPERATURE_RANGE[1], rel=1e-2
    )  # nothing is known: no temperature is too high


def test_a_temperature_lies_beside_its_checkpoint_and_belongs_to_no_other(tmp_path):
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"weights")
    command = f"python src/diagnose.py ckpt_path={tmp_path / 'run'}"
    with pytest.raises(FileNotFoundError, match="There is no temperature") as told:
        read_temperature(checkpoint)
    assert str(told.value).endswith(command)

    path = write_temperature(checkpoint, 1.5, 20)
    assert path == checkpoint.with_name(FILE_NAME) and read_temperature(checkpoint) == 1.5
    assert json.loads(path.read_text())["fitted_to"] == "20 validation clips"

    for broken in ("{", "{}", json.dumps(json.loads(path.read_text()) | {"temperature": 0})):
        kept = path.read_text()
        path.write_text(broken)
        with pytest.raises(ValueError, match=r"cannot be read|a temperature of 0"):
            read_temperature(checkpoint)
        path.write_text(kept)
    checkpoint.write_bytes(b"other weights")
    with pytest.raises(ValueError, match="is of another checkpoint"):
        read_temperature(checkpoint)


def test_a_network_divides_its_outputs_until_the_handle_is_removed():
    task, clips = build("concat", narrow=True).eval(), toy_clips()
    before = task(clips).logits
    handle = scale_outputs(task.network, 2.0)
    torch.testing.assert_close(task.predict_step(clips, 0)[1], (before / 2).softmax(dim=1))
    handle.remove()
    assert torch.equal(task(clips).logits, before)
