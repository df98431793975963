"""The messages of a preview, without addresses and of a bounded size. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MOST_CHARACTERS = 200_000
"""The most characters of a part that is shown: twice what Gmail shows of a mail."""
MOST_FIELDS = 200
"""The most header fields, variables and attachments of a message that are shown."""
LONGEST_VALUE = 2_000
"""Characters of the value of a header field or a variable; the rest is cut."""


@dataclass(frozen=True, slots=True)
class Field:
    """A name and a value: of a header field, a variable or an attachment."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The header fields that differ where the mail goes over another connection."""

    connection: str
    headers: Sequence[Field]


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """The message for one recipient; addresses are hidden."""

    why: str
    """Why this recipient was chosen, such as "the longest value"."""
    connection: str
    row: int
    """The row of the recipient's source, from 1."""
    variables: Sequence[Field]
    headers: Sequence[Field] = ()
    elsewhere: Sequence[Elsewhere] = ()
    text: str | None = None
    html: str | None = None
    calendar: str | None = None
    """The invitation, unfolded."""
    attachments: Sequence[Field] = ()
    """The names and sizes of the attachments."""
    size_bytes: int = 0
    """The size of the whole message."""
    notes: Sequence[str] = ()
    """Remarks on what the preview leaves out, and why."""


@dataclass(frozen=True, slots=True)
class MessagePreview:
    """The message as a few recipients would get it."""

    campaign: str
    messages: Sequence[ShownMessage] = field(repr=False)


def bounded(what: str, part: str | None) -> tuple[str | None, list[str]]:
    """A part of a message, or else a note that says why it is not shown."""
    if part is None or len(part) <= MOST_CHARACTERS:
        return part, []
    size = f"{len(part.encode()) / 1e6:,.1f} MB"
    note = f"{what} is not shown: it has {size}. Send a copy to yourself to see it"
    return None, [note]


def cut(value: str) -> str:
    """A value of a bounded length."""
    return value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "…"
