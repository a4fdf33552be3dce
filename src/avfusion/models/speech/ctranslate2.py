"""Whisper in the format of CTranslate2, which faster-whisper keeps: a folder with ``model.bin``.

The file holds a version, the name and the revision of the kind of model, and named arrays: name,
number of axes, axes, type, number of bytes, bytes (``ctranslate2/specs/model_spec.py``). Own code
although there is the library: it brings its own engine, of which nothing but the last layer comes
out, and needs the tokenizer beside the weights.
"""

from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from struct import Struct
from typing import Any

import numpy as np
import torch
from torch import Tensor

MODEL_FILE = "model.bin"
FILE_VERSIONS = (
    5,
    6,
)  # versions of the file, which differ in how they say that arrays are the same
HEAD_DIM = 64  # of every Whisper; older files do not say how many heads there are
NUMPY_TYPES = {0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"}
BFLOAT16 = 5
NUMBER_STRUCTS = {kind: Struct(f"<{kind}") for kind in "BHI"}


def read_encoder(folder: Path) -> dict[str, Tensor]:
    """Read the arrays of Whisper's encoder, by the names that they have in the file, as floats.

    Weights of eight or sixteen bits are multiplied by their scales.

    Raises:
        ValueError: The file is of another kind, or broken.
    """
    file = folder / MODEL_FILE
    try:
        with file.open("rb") as stream:
            version = _read_number(stream, "I")
            kind = _read_name(stream)
            if version not in FILE_VERSIONS or kind != "WhisperSpec":
                raise ValueError(
                    f"{file} holds {kind!r} in version {version}, and no Whisper in a version of "
                    f"{FILE_VERSIONS}."
                )
            _read_number(stream, "I")  # the revision of the kind
            arrays = dict(_read_array(stream) for _ in range(_read_number(stream, "I")))
    except (EOFError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{file} is no model of CTranslate2, or is cut short ({error!r}): copy it again."
        ) from error

    found = {name: array for name, array in arrays.items() if array is not None}
    scales = {name: found.pop(name) for name in list(found) if name.endswith("_scale")}
    for name, scale in scales.items():
        weight = found[name.removesuffix("_scale")]
        found[name.removesuffix("_scale")] = weight / scale.reshape(-1, *[1] * (weight.ndim - 1))
    return found


def describe_encoder(arrays: Mapping[str, Tensor]) -> dict[str, Any]:
    """Architecture of an encoder as the configuration of transformers names it."""
    width, mels, _ = arrays["encoder/conv1/weight"].shape
    heads = arrays.get("encoder/num_heads")
    blocks = {name.split("/")[1] for name in arrays if name.startswith("encoder/layer_")}
    blocks.discard("layer_norm")
    return {
        "num_mel_bins": mels,
        "encoder_layers": len(blocks),
        "encoder_attention_heads": width // HEAD_DIM if heads is None else int(heads),
        "d_model": width,
        "encoder_ffn_dim": len(arrays["encoder/layer_0/ffn/linear_0/weight"]),
        "activation_function": "gelu",
        "max_source_positions": len(arrays["encoder/position_encodings/encodings"]),
        "scale_embedding": False,
    }


def convert_encoder(arrays: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """State of the ``WhisperEncoder`` of transformers, of so many of its blocks."""
    state = {"embed_positions.weight": arrays["encoder/position_encodings/encodings"]}
    for name in ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"):
        state[name] = arrays[f"encoder/{name.replace('.', '/')}"]
    _convert_norm(state, "layer_norm", arrays, "encoder/layer_norm")

    for number in range(blocks):
        there, here = f"encoder/layer_{number}", f"layers.{number}"
        _convert_norm(
            state, f"{here}.self_attn_layer_norm", arrays, f"{there}/self_attention/layer_norm"
        )
        _convert_norm(state, f"{here}.final_layer_norm", arrays, f"{there}/ffn/layer_norm")
        for part in ("weight", "bias"):
            joined = arrays[f"{there}/self_attention/linear_0/{part}"].chunk(3)
            for name, values in zip("qkv", joined, strict=True):
                state[f"{here}.self_attn.{name}_proj.{part}"] = values
            state[f"{here}.self_attn.out_proj.{part}"] = arrays[
                f"{there}/self_attention/linear_1/{part}"
            ]
            state[f"{here}.fc1.{part}"] = arrays[f"{there}/ffn/linear_0/{part}"]
            state[f"{here}.fc2.{part}"] = arrays[f"{there}/ffn/linear_1/{part}"]
        del state[f"{here}.self_attn.k_proj.bias"]  # zeros, which transformers does without

    return state


def _convert_norm(
    state: dict[str, Tensor], name: str, arrays: Mapping[str, Tensor], there: str
) -> None:
    state[f"{name}.weight"], state[f"{name}.bias"] = (
        arrays[f"{there}/gamma"],
        arrays[f"{there}/beta"],
    )


def _read_array(stream: BufferedReader) -> tuple[str, Tensor | None]:
    """Read a name and, where it is one of the encoder, its array."""
    name = _read_name(stream)
    shape = [_read_number(stream, "I") for _ in range(_read_number(stream, "B"))]
    kind, size = _read_number(stream, "B"), _read_number(stream, "I")
    if not name.startswith("encoder/"):
        stream.seek(size, 1)
        return name, None

    content = _read_bytes(stream, size)
    if kind == BFLOAT16:
        wide = np.frombuffer(content, "<u2").astype(np.uint32) << 16
        values = wide.view(np.float32)
    else:
        values = np.frombuffer(content, NUMPY_TYPES[kind]).astype(np.float32)
    if values.size != np.prod(shape, dtype=int):
        raise EOFError(f"{values.size} numbers for {name}, {shape}")
    return name, torch.from_numpy(values.reshape(shape).copy())


def _read_name(stream: BufferedReader) -> str:
    return _read_bytes(stream, _read_number(stream, "H")).rstrip(b"\0").decode()


def _read_number(stream: BufferedReader, kind: str) -> int:
    number = NUMBER_STRUCTS[kind]
    return int(number.unpack(_read_bytes(stream, number.size))[0])


def _read_bytes(stream: BufferedReader, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError(f"{size} bytes at {stream.tell()}")
    return content
