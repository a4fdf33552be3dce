"""The columns of a manifest, and other names for them."""

from collections.abc import Mapping
from pathlib import Path

from avfusion.corpora.recording import listed

REQUIRED = ("clip_id", "label", "subject")
MEDIA = ("video_path", "image_path", "audio_path")
BOX = ("box_left", "box_top", "box_right", "box_bottom")
COLUMNS = (*REQUIRED, "split", *MEDIA, *BOX)


def check_names(columns: Mapping[str, str], media_root: str | None) -> None:
    """Refuse names for columns that there are not, and a folder of media that is none."""
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise ValueError(
            f"corpus.columns has no {listed(unknown)}, it has {listed([*COLUMNS], 20)}: "
            "name yours as in corpus.columns.subject=speaker."
        )
    if media_root is not None and not Path(media_root).is_dir():
        raise FileNotFoundError(
            f"corpus.media_root={media_root} is no folder: set it to the one that paths are "
            "relative to, or leave it out."
        )
