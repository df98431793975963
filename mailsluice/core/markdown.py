"""Build the Markdown pages that operators read. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SPECIAL = re.compile(r"[\\`*_\[\]<>&|~!#]")


def cell(text: str) -> str:
    """Escape text for a cell of a table, a heading or an item of a list.

    The page shows the text unchanged, on one line: Markdown and HTML in it have no effect
    (CommonMark section 2.4: backslash escapes).
    """
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """Return the lines of a table, and an empty line.

    Args:
        head: The columns' titles.
        rows: Cells that are ready for the page (see `cell`).
        words: Number of columns, from the left, that hold words; the others hold numbers.
    """
    marks = ["---" if column < words else "---:" for column in range(len(head))]
    return [*(f"| {' | '.join(line)} |" for line in (head, marks, *rows)), ""]


def section(title: str, lines: Sequence[str]) -> list[str]:
    """Return the lines of a section with its heading; none when the section would be empty."""
    return [f"## {title}", "", *lines, ""] if lines else []
