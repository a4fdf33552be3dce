"""Command lines that run as they are printed, whatever the names in them hold."""

import re
import shlex

PLAIN = re.compile(r"[A-Za-z_./][\w./-]*", re.ASCII)  # means itself, to a shell and to Hydra
WORDS = {"null", "true", "false", "nan", "inf"}  # that Hydra would read as something else


def argument(key: str, value: object) -> str:
    """Return ``key=value`` as a shell hands it to Hydra, and Hydra reads it as this text.

    Blanks, quotes, commas, equals signs, brackets, dollars and letters beyond ASCII stay what they
    are: https://hydra.cc/docs/advanced/override_grammar/basic/#quoted-values.
    """
    text = str(value)
    if PLAIN.fullmatch(text) and text.lower() not in WORDS:
        return f"{key}={text}"
    # Backslashes count only in front of a quote, and there each of them twice.
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text.replace("${", r"\${"))
    ending = escaped[len(escaped.rstrip("\\")) :]
    return shlex.quote(f"{key}='{escaped}{ending}'")
