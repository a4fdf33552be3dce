"""Lists, plurals, durations, wrapped lines and commands in messages."""

import shlex

import pytest
from conftest import load

from avfusion.messages import (
    format_duration,
    join_items,
    pluralize,
    quote_override,
    wrap_lines,
)

TEXTS = [
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


@pytest.mark.parametrize("text", TEXTS)
def test_shell_and_hydra_read_a_quoted_override_as_the_text_it_was_made_of(text):
    words = shlex.split(quote_override("data.store", text))
    assert len(words) == 1
    cfg = load("train", "data=store", *words)
    assert cfg.data.store == text and isinstance(cfg.data.store, str)


def test_a_plain_path_needs_no_quotes():
    assert quote_override("data.store", TEXTS[0]) == f"data.store={TEXTS[0]}"


@pytest.mark.parametrize(
    ("items", "sentence"), [("ab", "a, b"), ("abc", "a, b, c"), ("abcde", "a, b, c and 2 more")]
)
def test_a_long_list_shows_the_first_items_and_counts_the_rest(items, sentence):
    assert join_items(list(items), limit=3) == sentence


@pytest.mark.parametrize("sign", [" = ", "/"])
def test_long_items_are_shortened(sign):
    many = sign.join(f"clip_{number:04}" for number in range(1000))
    assert join_items([many, "b  c", "d"], limit=2) == f"{many[:196]} ..., b  c and 1 more"


@pytest.mark.parametrize(("count", "text"), [(0, "0 clips"), (1, "1 clip"), (2, "2 clips")])
def test_a_noun_is_singular_for_one_and_plural_otherwise(count, text):
    assert pluralize(count, "clip") == text


@pytest.mark.parametrize(("seconds", "text"), [(7.4, "7 s"), (130, "2 min"), (6000, "1 h 40 min")])
def test_durations_have_their_natural_unit(seconds, text):
    assert format_duration(seconds) == text


def test_lines_are_wrapped_without_breaking_a_word():
    path = "/a/path/" + 90 * "x"
    text = f"Error: what is wrong is said in a sentence that is longer than a line of it, in {path}"
    lines = wrap_lines(text, 80).splitlines()
    assert max(len(line) for line in lines if path not in line) <= 80
    assert " ".join(line.strip() for line in lines) == text


def test_without_a_width_lines_stay_as_they_are():
    assert wrap_lines("word " * 40, None) == "word " * 40
