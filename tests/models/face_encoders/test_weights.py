import os
from pathlib import Path

import pytest
import torch

from avfusion.models.face_encoders.weights import read_weights


class Trap:
    """An object that makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_a_pickled_object_is_refused_and_not_run(tmp_path):
    torch.save({"weight": Trap(tmp_path / "sprung")}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth holds more than weights, or none"):
        read_weights(str(tmp_path / "a.pth"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_file_of_another_kind_is_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"no weights at all, but long enough to be read")
    with pytest.raises(ValueError, match=f"{name} holds more than weights, or none"):
        read_weights(str(tmp_path / name))
