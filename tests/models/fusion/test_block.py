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

from avfusion.models.fusion.block import BlockFusion

CASES = [(8, 2), (7, 3), (10, 6), (7, 7), (5, 1)]  # even, uneven, as even as can be, many, one


@pytest.mark.parametrize("normalize", ["chunks", "whole", "none"])
@pytest.mark.parametrize(("width", "chunks"), CASES)
def test_equals_an_explicit_sum_over_the_rank_of_each_chunk(width, chunks, normalize):
    fuse = BlockFusion(6, 4, 5, width, chunks, rank=3, normalize=normalize, eps=0)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    faces = split_chunks(fuse.sizes, linear(p, "face_input", face.numpy()))
    audios = split_chunks(fuse.sizes, linear(p, "audio_input", audio.numpy()))
    fused = []
    for k, size in enumerate(fuse.sizes):
        product = linear(p, f"face_factors.{k}", faces[k])
        product = product * linear(p, f"audio_factors.{k}", audios[k])
        fused.append(sum(product[..., r * size : (r + 1) * size] for r in range(3)))
    assert len(fused) == chunks
    assert_equal(fuse(face, audio), linear(p, "output", join_chunks(fused, normalize)))


def test_has_two_maps_per_modality_the_second_in_blocks_and_an_output_map():
    blocks = sum(2 * (3 * size) * (size + 1) for size in (3, 3, 1))
    fuse = BlockFusion(6, 4, 5, width=7, chunks=3, rank=3)
    assert count_parameters(fuse) == 7 * (7 + 5) + blocks + 5 * (7 + 1)


def test_chunks_without_rank_are_refused():
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        BlockFusion(6, 4, rank=0)


def test_shared_maps_treat_both_modalities_alike():
    fuse = BlockFusion(6, 6, 5, width=7, chunks=3, rank=3, shared=True)
    randomize_parameters(fuse)
    face, audio = random_vectors(3)[0], random_vectors(3)[0]
    torch.testing.assert_close(fuse(face, audio), fuse(audio, face))
    assert count_parameters(fuse) == 7 * (6 + 1) + 9 * 4 + 9 * 4 + 3 * 2 + 5 * (7 + 1)
    with pytest.raises(ValueError, match="one width"):
        BlockFusion(6, 4, shared=True)
