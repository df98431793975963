"""What the pictures of a report have in common."""

from __future__ import annotations

from matplotlib.figure import Figure

from mailsluice.core.markdown import cell
from mailsluice.core.masking import masked
from mailsluice.core.picture import picture

WIDTH_INCHES = 7.0
BLUE, GREY, RED = "#0072B2", "#999999", "#D55E00"
"""Everybody can tell them apart (Okabe and Ito, Color Universal Design)."""
_MOST_LETTERS = 24


def described(figure: Figure, alt: str) -> str:
    """The figure in Markdown, with the text that says what is to be seen."""
    return picture(figure, cell(masked(alt)))


def short_name(connection: str) -> str:
    """As it is written beside a bar: $ would begin a formula."""
    name = masked(connection)
    short = name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
    return short.replace("$", r"\$")
