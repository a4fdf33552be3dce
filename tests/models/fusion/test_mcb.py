import numpy as np
import pytest
import torch
from numpy_reference import random_vectors

from avfusion.models.fusion.mcb import MCBFusion


def sketched_outer_product(fuse: MCBFusion, face: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """Send every product of two numbers to the bin that their hashes add up to."""
    bins = np.zeros(fuse.dim)
    for i, j in np.ndindex(len(face), len(audio)):
        sign = fuse.face_sketch.signs[i] * fuse.audio_sketch.signs[j]
        place = (fuse.face_sketch.hashes[i] + fuse.audio_sketch.hashes[j]) % fuse.dim
        bins[place.item()] += sign.item() * face[i] * audio[j]
    return bins


@pytest.mark.parametrize("dim", [1, 2, 3, 5, 8, 13, 64])
def test_equals_the_sketch_of_the_explicit_outer_product(dim):
    fuse, (face, audio) = MCBFusion(6, 4, dim, normalize=False).double(), random_vectors(2, 3)
    pairs = zip(face.reshape(-1, 6).numpy(), audio.reshape(-1, 4).numpy(), strict=True)
    expected = np.stack([sketched_outer_product(fuse, *pair) for pair in pairs])
    fused = fuse(face, audio).reshape(-1, dim)
    torch.testing.assert_close(fused, torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_normalized_equals_signed_roots_of_length_one():
    fuse, (face, audio) = MCBFusion(6, 4, 9, eps=0).double(), random_vectors()
    roots = sketched_outer_product(fuse, face.numpy(), audio.numpy())
    roots = np.sign(roots) * np.sqrt(np.abs(roots))
    expected = torch.from_numpy(roots / np.linalg.norm(roots))
    full = expected.abs() > 1e-6  # the root blows up what rounding leaves in empty bins
    torch.testing.assert_close(fuse(face, audio)[full], expected[full], rtol=1e-9, atol=0)


@pytest.mark.parametrize("silent", ["face", "audio"])
def test_without_one_modality_the_sketch_of_the_other_remains(silent):
    fuse, (face, audio) = MCBFusion(6, 4, 9, normalize=False).double(), random_vectors(3)
    if silent == "face":
        fused, sketch = fuse(torch.zeros_like(face), audio), fuse.audio_sketch(audio)
    else:
        fused, sketch = fuse(face, torch.zeros_like(audio)), fuse.face_sketch(face)
    torch.testing.assert_close(fused, sketch, rtol=0, atol=1e-12)


def test_a_clip_without_a_modality_leaves_the_others_of_its_batch_alone():
    fuse, (face, audio) = MCBFusion(6, 4, 9).double(), random_vectors(3)
    before = fuse(face, audio)
    after = fuse(face * torch.tensor([[1.0], [0.0], [1.0]]), audio)
    torch.testing.assert_close(after[::2], before[::2], rtol=0, atol=1e-12)


def test_sketches_differ_between_modalities_and_seeds_and_nothing_is_learned():
    fuse, other = MCBFusion(40, 40, 64), MCBFusion(40, 40, 64, seed=1)
    hashes = [part.hashes for f in (fuse, other) for part in (f.face_sketch, f.audio_sketch)]
    assert len({tuple(each.tolist()) for each in hashes}) == 4
    assert not list(fuse.parameters())


def test_transforms_in_float32_under_autocast():
    fuse = MCBFusion(6, 4, 64)
    face, audio = (vector.bfloat16() for vector in random_vectors(3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fused = fuse(face, audio)
    torch.testing.assert_close(fused, fuse(face.float(), audio.float()), rtol=0, atol=0)
