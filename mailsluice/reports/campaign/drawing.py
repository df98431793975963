"""Colours, names and alternative texts for the pictures of a report."""

from __future__ import annotations

from matplotlib.figure import Figure

from mailsluice.core.markdown import cell
from mailsluice.core.masking import masked
from mailsluice.core.picture import picture

WIDTH_INCHES = 7.0
BLUE, GREY, RED = "#0072B2", "#999999", "#D55E00"
"""Colours that people with any colour vision can distinguish (Okabe and Ito, 2008)."""
_MOST_LETTERS = 24


def described(figure: Figure, alt: str) -> str:
    """The figure in Markdown; `alt` says what it shows."""
    return picture(figure, cell(masked(alt)))


def short_name(name: str) -> str:
    """A name for a label in a figure: cut, masked, and with $ escaped."""
    name = masked(name)
    short = name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
    return short.replace("$", r"\$")
