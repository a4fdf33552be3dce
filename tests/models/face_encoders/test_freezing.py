import pytest
from torch import nn

from avfusion.models.face_encoders.freezing import freeze_stages


def network() -> nn.Module:
    stages = {f"stage_{k}": nn.Sequential(nn.Linear(2, 2), nn.Dropout()) for k in (0, 1, 10)}
    return nn.ModuleDict({"model": nn.ModuleDict(stages)})


STAGES = ["stage.0", "stage.1", "stage.10"]


@pytest.mark.parametrize("count", range(4))
def test_modules_up_to_the_end_of_a_stage_are_frozen_and_no_others(count):
    net = network()
    frozen = freeze_stages(net, STAGES, count)
    names = [f"stage_{k}" for k in (0, 1, 10)]
    for place, name in enumerate(names):
        part = net["model"][name]
        assert all(inner.training == (place >= count) for inner in part.modules())
        assert all(value.requires_grad == (place >= count) for value in part.parameters())
    assert len(frozen) == (0, 3, 6, 11)[count]


def test_a_stage_that_is_no_module_is_refused():
    with pytest.raises(ValueError, match=r"head is no module of its own .*: use all or none"):
        freeze_stages(network(), ["head"], 1)
