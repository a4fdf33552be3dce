"""Whisper in the format of CTranslate2."""

import struct

import numpy as np
import pytest
import torch
from speech_checkpoints import draw_sounds, write_checkpoint

from avfusion.models.speech import load_network, read_architecture
from avfusion.models.speech.ctranslate2 import describe_encoder, read_encoder

pytestmark = pytest.mark.encoders
transformers = pytest.importorskip("transformers")


def collect_arrays(folder):
    """Arrays of a Whisper of transformers by the names of CTranslate2, written down by hand."""
    model = transformers.WhisperModel.from_pretrained(folder)
    state = {name: value.numpy() for name, value in model.encoder.state_dict().items()}
    arrays = {
        "decoder/embeddings/weight": np.ones((60, 128), np.float32),
        "encoder/num_heads": np.array(2, np.int16),
        "encoder/position_encodings/encodings": state["embed_positions.weight"],
        "encoder/layer_norm/gamma": state["layer_norm.weight"],
        "encoder/layer_norm/beta": state["layer_norm.bias"],
    }
    for conv in ("conv1", "conv2"):
        for part in ("weight", "bias"):
            arrays[f"encoder/{conv}/{part}"] = state[f"{conv}.{part}"]
    for layer in range(3):
        there, here = f"encoder/layer_{layer}", f"layers.{layer}"
        attention = f"{here}.self_attn"
        key_bias = np.zeros(128, np.float32)
        arrays |= {
            f"{there}/self_attention/layer_norm/gamma": state[f"{attention}_layer_norm.weight"],
            f"{there}/self_attention/layer_norm/beta": state[f"{attention}_layer_norm.bias"],
            f"{there}/self_attention/linear_0/weight": np.concatenate(
                [state[f"{attention}.{name}_proj.weight"] for name in "qkv"]
            ),
            f"{there}/self_attention/linear_0/bias": np.concatenate(
                [state[f"{attention}.q_proj.bias"], key_bias, state[f"{attention}.v_proj.bias"]]
            ),
            f"{there}/self_attention/linear_1/weight": state[f"{attention}.out_proj.weight"],
            f"{there}/self_attention/linear_1/bias": state[f"{attention}.out_proj.bias"],
            f"{there}/ffn/layer_norm/gamma": state[f"{here}.final_layer_norm.weight"],
            f"{there}/ffn/layer_norm/beta": state[f"{here}.final_layer_norm.bias"],
        }
        for number, name in enumerate(("fc1", "fc2")):
            for part in ("weight", "bias"):
                arrays[f"{there}/ffn/linear_{number}/{part}"] = state[f"{here}.{name}.{part}"]
    return arrays


def write_model(folder, arrays, kind="WhisperSpec", version=6):
    """Write arrays as ``model_spec.py`` of CTranslate2 does."""
    numbers = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}

    def name(text):
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    content = struct.pack("<I", version) + name(kind) + struct.pack("<II", 3, len(arrays))
    for key, array in arrays.items():
        dtype = array.dtype.name
        content += name(key) + struct.pack("<B", array.ndim)
        content += struct.pack(f"<{array.ndim}I", *array.shape)
        content += struct.pack("<BI", numbers[dtype], array.nbytes) + array.tobytes()
    content += struct.pack("<I", 1) + name("decoder/projection/weight")
    content += name("decoder/embeddings/weight")
    folder.mkdir(exist_ok=True)
    (folder / "model.bin").write_bytes(content)
    return str(folder)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return str(write_checkpoint(tmp_path_factory.mktemp("whisper") / "whisper", "whisper"))


@pytest.fixture(scope="module")
def arrays(original):
    return collect_arrays(original)


@torch.no_grad()
def encode(folder):
    torch.manual_seed(1)
    sound, length = draw_sounds(16_000)
    network = load_network(folder, None, read_architecture(folder))
    return network(sound, length)


def test_a_file_gives_the_encoder_that_it_was_made_of(original, arrays, tmp_path):
    folder = write_model(tmp_path / "float", arrays)
    assert torch.equal(encode(folder).last, encode(original).last)
    assert read_architecture(folder) == read_architecture(original)


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("float16", 2e-3), ("int8", 6e-2), ("int16", 5e-3)]
)
def test_smaller_numbers_give_nearly_the_same(original, arrays, tmp_path, kind, tolerance):
    small = {}
    for name, array in arrays.items():
        quantized = array.ndim == 2 and "linear" in name and kind != "float16"
        if kind == "float16" and array.dtype == np.float32:
            small[name] = array.astype(np.float16)
        elif not quantized:
            small[name] = array
        elif kind == "int8":  # a scale for each row
            scale = 127 / np.abs(array).max(1)
            small[name] = np.round(array * scale[:, None]).astype(np.int8)
            small[f"{name}_scale"] = scale.astype(np.float32)
        else:  # one scale
            scale = np.float32(2**10 / np.abs(array).max())
            small[name] = np.round(array * scale).astype(np.int16)
            small[f"{name}_scale"] = np.array(scale)
    ours, theirs = encode(write_model(tmp_path / kind, small)).last, encode(original).last
    assert 0 < (ours - theirs).abs().max() < tolerance * theirs.abs().max()


def test_the_library_gives_the_same_of_a_file_that_it_wrote(original, tmp_path):
    ctranslate2 = pytest.importorskip("ctranslate2")
    from ctranslate2.converters.transformers import WhisperLoader

    whole = transformers.WhisperForConditionalGeneration.from_pretrained(original)
    spec = WhisperLoader().get_model_spec(whole)
    tokens = ("<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>", "<|nospeech|>")
    spec.register_vocabulary([*tokens, *map(str, range(60 - len(tokens)))])
    spec.validate()
    spec.save(str(tmp_path))

    sound, length = draw_sounds(32_000)
    extractor = transformers.WhisperFeatureExtractor()
    mel = extractor(
        sound[0].numpy(), sampling_rate=16_000, padding=False, return_tensors="np"
    ).input_features
    library = ctranslate2.models.Whisper(str(tmp_path), compute_type="float32")
    theirs = library.encode(ctranslate2.StorageView.from_array(mel.astype(np.float32)))
    network = load_network(str(tmp_path), None, read_architecture(str(tmp_path)))
    with torch.no_grad():
        ours = network(sound, length).last
    torch.testing.assert_close(ours, torch.from_numpy(np.array(theirs)), rtol=0, atol=1e-3)


def test_files_of_other_kinds_and_broken_ones_are_refused(arrays, tmp_path):
    other = write_model(tmp_path / "other", arrays, kind="TransformerSpec")
    with pytest.raises(ValueError, match=r"holds 'TransformerSpec' in version 6, and no Whisper"):
        read_architecture(other)
    future = write_model(tmp_path / "future", arrays, version=7)
    with pytest.raises(ValueError, match=r"holds 'WhisperSpec' in version 7, and no Whisper"):
        read_architecture(future)
    file = tmp_path / "other" / "model.bin"
    write_model(tmp_path / "other", arrays)
    whole = file.read_bytes()
    for end in (0, 3, 40, len(whole) // 2, len(whole) - 100_000):
        file.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"is no model of CTranslate2, or is cut short"):
            read_architecture(other)


def test_files_without_a_number_of_heads_have_heads_of_64(arrays, tmp_path):
    older = {name: array for name, array in arrays.items() if name != "encoder/num_heads"}
    write_model(tmp_path, older)
    assert describe_encoder(read_encoder(tmp_path))["encoder_attention_heads"] == 128 // 64
