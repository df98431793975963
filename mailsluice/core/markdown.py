"""Pieces of the pages that operators read. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SPECIAL = re.compile(r"[\\`*_\[\]<>&|~!#]")


def cell(text: str) -> str:
    """Text as it may stand in a table's cell, a heading or a line of a list: read as it is.

    No Markdown and no HTML in it counts (CommonMark section 2.4: backslash escapes).
    """
    return _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], words: int = 1) -> list[str]:
    """The lines of a table and an empty one; the first so many columns are words, the rest numbers.

    Cells are taken as they are: see `cell`.
    """
    marks = ["---" if column < words else "---:" for column in range(len(head))]
    return [*(f"| {' | '.join(line)} |" for line in (head, marks, *rows)), ""]


def section(title: str, lines: Sequence[str]) -> list[str]:
    """A section with its heading; nothing where there are no lines."""
    return [f"## {title}", "", *lines, ""] if lines else []
