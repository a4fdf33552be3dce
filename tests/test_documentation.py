"""Claims about README files: their commands compose, and their links lead to files."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CONF, ROOT
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from avfusion.run.shorthands import expand_shorthands
from avfusion.run.values import check_values

PAGES = [ROOT / "README.md", *sorted(CONF.rglob("README.md"))]
PAGES += sorted((ROOT / "src").rglob("README.md"))
PROGRAMS = {path.stem for path in CONF.glob("*.yaml")}
MAX_LINES, MAX_COLUMNS = 120, 100  # of the README


def commands(page: Path) -> Iterator[str]:
    """Commands of the blocks of code of a page, with something in the place of ``<run>``."""
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if match := re.search(r"python src/.*", line):
                yield re.sub(r"<[^>]*>", "given", match[0])


LINES = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in commands(page)]


@pytest.mark.parametrize(
    ("page", "line"),
    [
        pytest.param(page, line, marks=() if page == "README.md" else pytest.mark.slow)
        for page, line in LINES
    ],
)
def test_a_command_of_the_documentation_composes(page, line):
    _, program, *words = shlex.split(line, comments=True)
    assert (ROOT / program).is_file()
    top = Path(program).stem
    if top not in PROGRAMS:
        return  # argparse programs take paths alone in these pages

    sweeps = "-m" in words
    overrides = [word for word in words if word != "-m"]
    if sweeps:
        overrides = [first_of_sweep(word) for word in overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(top, expand_shorthands(overrides), return_hydra_config=True)
    for key in set(cfg) - {"hydra"}:
        if isinstance(cfg[key], DictConfig):
            check_values(OmegaConf.to_container(cfg[key], resolve=False), str(key))


def first_of_sweep(word: str) -> str:
    """First choice of a swept key; braces and brackets hold values of their own."""
    key, _, value = word.partition("=")
    return word if value[:1] in "{[" else f"{key}={value.split(',')[0]}"


def test_every_page_with_commands_is_found():
    assert {page for page, _ in LINES} >= {"README.md", "conf/README.md"}
    assert len(LINES) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_of_a_page_to_a_file_leads_to_one(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_is_short_and_fits_a_terminal():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_LINES
    assert [line for line in lines if len(line) > MAX_COLUMNS] == []
