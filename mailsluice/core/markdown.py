"""Build the Markdown pages that operators read. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

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


def with_section(page: str, title: str, lines: Sequence[str], before: Collection[str]) -> str:
    """Replace a section of a page, or insert the section where the page has none.

    Args:
        page: The page, whose texts from outside are escaped (see `cell`).
        title: The section's heading.
        lines: The section's new lines; without any, the page stays as it is.
        before: Headings; a new section is inserted before the first of them, or at the end.
    """
    if not lines:
        return page
    parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    titles = [part.partition("\n")[0].removeprefix("## ").strip() for part in parts]
    new = "\n".join(section(title, lines)) + "\n"
    if title in titles:
        parts[titles.index(title)] = new
    else:
        place = next((i for i, known in enumerate(titles) if known in before), len(parts))
        parts.insert(place, new)
    return "".join(parts)
