"""Claims about the pictures of the README."""

import re
from xml.etree import ElementTree

from conftest import ROOT

SHOWN = sorted(set(re.findall(r"\.github/assets/[\w.-]+", (ROOT / "README.md").read_text())))
MOST_BYTES = 300_000


def test_all_pictures_are_there_small_and_shown():
    kept = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / ".github/assets").iterdir())
    assert kept == SHOWN and len(kept) == 3
    assert all((ROOT / path).stat().st_size < MOST_BYTES for path in kept)


def test_the_drawing_in_light_and_dark_differs_in_its_colors_only():
    texts = [(ROOT / f".github/assets/architecture-{m}.svg").read_text() for m in ("light", "dark")]
    assert texts[0] != texts[1]
    assert len({re.sub(r"#[0-9a-f]{6}", "#", text) for text in texts}) == 1
    assert ElementTree.fromstring(texts[0]).find("{http://www.w3.org/2000/svg}title").text
