import pytest
import torch

from avfusion.models.layers.chunks import chunk_norms, chunk_sizes
from avfusion.models.layers.power_norm import PowerNorm


@pytest.mark.parametrize(
    ("width", "chunks", "sizes"),
    [
        (20, 4, [5, 5, 5, 5]),
        (22, 4, [6, 6, 6, 4]),
        (7, 3, [3, 3, 1]),
        (10, 7, [2, 2, 2, 1, 1, 1, 1]),
        (21, 20, [2, *[1] * 19]),
        (5, 5, [1] * 5),
        (9, 1, [9]),
    ],
)
def test_sizes_are_those_of_the_published_code(width, chunks, sizes):
    assert chunk_sizes(width, chunks) == sizes


def test_where_the_published_code_leaves_a_chunk_empty_ours_does_not():
    assert chunk_sizes(10, 6) == [2, 2, 2, 2, 1, 1]


def test_sizes_are_never_zero_and_always_add_up():
    for width in range(1, 40):
        for chunks in range(1, width + 1):
            sizes = chunk_sizes(width, chunks)
            assert (len(sizes), sum(sizes)) == (chunks, width)
            assert min(sizes) > 0


@pytest.mark.parametrize("chunks", [0, 8])
def test_more_chunks_than_numbers_are_refused(chunks):
    with pytest.raises(ValueError, match=rf"in 1 to 7, .* got {chunks}"):
        chunk_sizes(7, chunks)


def test_chunks_or_the_whole_vector_are_normalized_as_chosen():
    kinds = {
        choice: [type(norm) for norm in chunk_norms(choice, 0.5)]
        for choice in ("chunks", "whole", "none")
    }
    nothing = torch.nn.Identity
    assert kinds == {
        "chunks": [PowerNorm, nothing],
        "whole": [nothing, PowerNorm],
        "none": [nothing, nothing],
    }
    assert chunk_norms("whole", 0.5)[1].eps == 0.5
    with pytest.raises(ValueError, match=r"one of \['chunks', 'none', 'whole'\], got 'all'"):
        chunk_norms("all", 0)
