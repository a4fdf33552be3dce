"""Claims about command lines that are printed."""

import shlex

import pytest
from conftest import load

from avfusion.commands import argument

ODD = [
    "data/stores/plain-0123abcd",
    "/with blanks/in it",
    "it's",
    'a "quoted" word',
    "both ' and \"",
    "a,b",
    "a=b",
    "a=b,c={d:e},[f](g)",
    "$HOME and ${seed} and $(pwd) and `pwd`",
    "back\\slash\\",
    "back\\\\'slash",
    "müde/嬉しい",
    "~/home",
    "12",
    "1e3",
    "null",
    "True",
    "#note; rm * ? ! & | < >",
    "-dash",
    " blanks at the ends ",
    "%s@{now}",
]


@pytest.mark.parametrize("text", ODD)
def test_a_printed_argument_is_read_as_it_was_meant_by_shell_and_hydra(text):
    words = shlex.split(argument("data.store", text))
    assert len(words) == 1
    cfg = load("train", "data=store", *words)
    assert cfg.data.store == text and isinstance(cfg.data.store, str)


def test_a_plain_path_stays_as_it_is():
    assert argument("data.store", ODD[0]) == f"data.store={ODD[0]}"
