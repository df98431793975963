"""The columns that a campaign's document names."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from mailsluice.core.errors import AudienceError


def missing_column(
    name: str, columns: Collection[str], purpose: str, field_name: str
) -> AudienceError:
    """The error for a column that the recipients do not have.

    Args:
        name: The column's name in the document.
        columns: The names of the recipients' columns, without that of the addresses.
        purpose: What the column is for, such as `to order by`.
        field_name: The field of the document that names the column.
    """
    near = get_close_matches(name, columns, n=3)
    suggestion = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    others = ", ".join(map(repr, sorted(columns))) or "none besides the address"
    return AudienceError(
        f"there is no column {name!r} {purpose}: {suggestion}The recipients have the"
        f" columns: {others}. Correct {field_name}, or add the column"
    )
