"""Protocol of a published corpus, as ``conf/data`` chooses it, to suggest beside a store."""

from collections.abc import Collection
from typing import Any

from hydra import compose
from hydra.utils import instantiate

from avfusion.data.protocols import SplitProtocol
from avfusion.run.composition import CONF


def find_protocol(corpus: str, allowed_leaks: Collection[str]) -> SplitProtocol | None:
    """Find the folds that ``data=<corpus>`` reads by, where there is such a choice.

    Of subjects who are to be known again there are none where ``allowed_leaks`` say that they are
    not, as where GRID is read for its words. Splits without folds are the corpus' own column.
    """
    if not (CONF / "data" / f"{corpus}.yaml").is_file():
        return None
    data = compose("train", [f"data={corpus}"]).data
    shares = data.allow_subject_overlap and "subject_overlap" not in allowed_leaks
    if data.protocol is None or shares:
        return None
    protocol: Any = instantiate(data.protocol, _convert_="all")
    return protocol if hasattr(protocol, "deal") else None
