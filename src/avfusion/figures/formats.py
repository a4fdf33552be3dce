"""Formats of figures as files; known without matplotlib, which takes a second to import."""

FORMATS = ("png", "svg", "pdf")


def check_format(figure_format: str, key: str = "figure_format") -> str:
    """Format of a figure's file, or refuse it."""
    if figure_format not in FORMATS:
        raise ValueError(f"{key} must be one of {', '.join(FORMATS)}, got {figure_format!r}.")
    return figure_format
