"""Every model trains in two processes, whatever parts of it get no gradient."""

import os
import sys
from pathlib import Path

import fork_server
import pytest
import torch
from conftest import MODELS, ROOT, build_for

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run.build import find_parameters_without_gradient

UNUSED = {"seed2017"}  # cuts its graph before face map and attention, as it was written


def test_only_the_network_as_it_was_written_has_parameters_without_gradient(party_store):
    data = FaceAudioDataModule(str(party_store), batch_size=4)
    written = build_for(data, "seed2017", "model.network.num_layers=1", "data.batch_size=4")
    found = find_parameters_without_gradient(written, data)
    assert found and {name.partition(".")[0] for name in found} <= {
        "face_encoder",
        "hidden",
        "glimpse_logits",
        "no_face",
    }
    assert all(value.grad is None for value in written.parameters())
    before = torch.get_rng_state()
    whole = build_for(data, "lowrank")
    state = {name: value.clone() for name, value in whole.state_dict().items()}
    before = torch.get_rng_state()
    assert find_parameters_without_gradient(whole, data) == []
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(state[name], value) for name, value in whole.state_dict().items())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_model_trains_in_two_processes_that_agree(party_store, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["tests/ddp_models.py", str(party_store), str(tmp_path), *MODELS]
    environment = os.environ | {"PYTHONPATH": "src:tests", "OMP_NUM_THREADS": "1"}
    ended = fork_server.run(command, cwd=ROOT, env=environment)
    assert ended.returncode == 0, ended.stderr[-3000:]
    for model in MODELS:
        first, second = (load_rank(tmp_path, model, rank) for rank in range(2))
        assert first["steps"] == second["steps"] == 2, model
        differing = [
            name
            for name, value in first["weights"].items()
            if not torch.equal(value, second["weights"][name])
        ]
        assert differing == [], model
        assert first["changed"], model
        assert first["looks"] == (model in UNUSED), model


def load_rank(folder: Path, model: str, rank: int) -> dict:
    return torch.load(folder / f"{model}_{rank}.pt", weights_only=True)
