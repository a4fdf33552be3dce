import numpy as np
import pytest
import torch
from numpy_reference import (
    assert_equal,
    count_parameters,
    join_chunks,
    linear,
    random_vectors,
    randomize_parameters,
    split_chunks,
)

from avfusion.models.fusion.block_tucker import BlockTuckerFusion

CASES = [(8, 2), (7, 3), (10, 6), (7, 7), (5, 1)]  # even, uneven, as even as can be, many, one


@pytest.mark.parametrize("normalize", ["chunks", "whole", "none"])
@pytest.mark.parametrize(("width", "chunks"), CASES)
def test_equals_one_core_with_blocks_on_its_diagonal(width, chunks, normalize):
    fuse = BlockTuckerFusion(6, 4, 5, width, chunks, normalize=normalize, eps=0)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    core, bias, start = np.zeros((width, width, width)), [], 0
    for k, size in enumerate(fuse.sizes):
        block = slice(start, start + size)
        core[block, block, block] = p[f"cores.{k}.weight"]
        bias.append(p[f"cores.{k}.bias"])
        start += size
    face_input = linear(p, "face_input", face.numpy())
    audio_input = linear(p, "audio_input", audio.numpy())
    z = np.einsum("kij,...i,...j->...k", core, face_input, audio_input) + np.concatenate(bias)
    fused = join_chunks(split_chunks(fuse.sizes, z), normalize)
    assert_equal(fuse(face, audio), linear(p, "output", fused))


def test_has_a_map_per_modality_a_core_per_chunk_and_an_output_map():
    cores = sum(size**3 + size for size in (3, 3, 1))
    fuse = BlockTuckerFusion(6, 4, 5, width=7, chunks=3)
    assert count_parameters(fuse) == 7 * (7 + 5) + cores + 5 * (7 + 1)


def test_shared_maps_treat_both_modalities_alike():
    fuse = BlockTuckerFusion(6, 6, 5, width=7, chunks=3, shared=True)
    randomize_parameters(fuse)
    face, audio = random_vectors(3)[0], random_vectors(3)[0]
    for core in fuse.cores:
        core.weight.data += core.weight.data.mT.clone()
    torch.testing.assert_close(fuse(face, audio), fuse(audio, face))
    assert count_parameters(fuse) == 7 * (6 + 1) + 2 * (27 + 3) + 2 + 5 * (7 + 1)
    with pytest.raises(ValueError, match="one width"):
        BlockTuckerFusion(6, 4, shared=True)
