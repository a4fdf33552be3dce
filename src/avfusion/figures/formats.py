"""Formats of figures as files; known without matplotlib, which takes a second to import."""

FORMATS = ("png", "svg", "pdf")


def check_format(form: str, key: str = "figure_format") -> str:
    """Format of a figure's file, or refuse it."""
    if form not in FORMATS:
        raise ValueError(f"{key} must be one of {', '.join(FORMATS)}, got {form!r}.")
    return form
