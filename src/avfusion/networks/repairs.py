"""The repairs of the network of 2017, one by one."""

from collections.abc import Sequence

REPAIRS = {
    "layers": "each LSTM has one layer instead of as many as there are frames",
    "states": "it begins with zeros, for batches of any size, and padding does not count",
    "noise": "the face vector is no longer added to new noise in each pass",
    "gradients": "the face vector is no longer cut from the graph, so that attention learns",
    "softmax": "the glimpses are a softmax over the positions instead of the batch",
    "logits": "those of the glimpses lose their ReLU, their Dropout2d and their bias",
    "dropout": "nothing is dropped in four further places",
    "output": "logits replace log-probabilities, and a ReLU that does nothing is gone",
    "init": "first values are drawn for what follows; factors begin with a bias of one",
}


def check_repairs(batch_size: int, layers: int, repairs: Sequence[str]) -> None:
    """Refuse sizes and repairs that cannot be."""
    if batch_size < 2 or layers < 1:
        raise ValueError(
            "Seed2017 needs data.batch_size of at least 2 and layers of at least 1, got "
            f"{batch_size} and {layers}."
        )
    if unknown := [name for name in repairs if name not in REPAIRS]:
        raise ValueError(f"repairs must be some of {[*REPAIRS]}, got {unknown}.")
