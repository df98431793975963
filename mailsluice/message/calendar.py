"""An invitation in the message: a calendar (RFC 5545) as an alternative to its text (RFC 6047).

The file is a template, so that it can name the recipient as ATTENDEE: without that, mail programs
show no buttons. Inserted values are escaped, so that none can add a property, and lines are folded
after.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath

from mailsluice.core.errors import MessageError
from mailsluice.message.attachments import Attachment, content_type, read_file
from mailsluice.message.calendar_values import with_values
from mailsluice.message.sandbox import CLOSE, OPEN
from mailsluice.message.templates import Template, TemplateField

_LONGEST_LINE = 75
"""Octets, without the line's end (RFC 5545 section 3.1)."""
_MOST_OCTETS = 1 << 20
_METHOD = re.compile(r"^METHOD:([A-Za-z-]{1,20})[ \t]*$", re.MULTILINE | re.IGNORECASE)
_ORGANIZER = re.compile(
    r"^ORGANIZER(?:;[^\n]{0,500}?)?:mailto:([^\s;,]{3,320})", re.MULTILINE | re.IGNORECASE
)


class Calendar:
    """The calendar of a message, for each recipient."""

    def __init__(self, path: str, known: Collection[str]) -> None:
        """Read and compile the file, which may use the variables `known`.

        Raises MessageError if it cannot be read, is not an invitation, or its template is wrong.
        """
        data = read_file(path)
        text = _unfolded(path, data)
        self.method = _method(path, text)
        self._template = Template(TemplateField.CALENDAR, text, known)
        self.uses = self._template.uses
        self.is_fixed = "{{" not in text and "{%" not in text and "{#" not in text
        """Whether the calendar is the same for all recipients."""
        self.file = (
            Attachment(content_name(path), "application", "ics", data) if self.is_fixed else None
        )
        """The file for mail programs that do not know invitations, if it is the same for all."""

    def render(self, values: Mapping[str, str]) -> str:
        """Return the calendar for a row, with lines of at most 75 octets.

        Raises MessageError, without any value, if these values cannot be rendered.
        """
        text = with_values(self._template.render(values)).rstrip("\n")
        return "\n".join(map(folded, text.split("\n"))) + "\n"


def organizer_of(path: str) -> str | None:
    """Return the address of the organizer in a calendar, if it has one. Raises MessageError."""
    organizer = _ORGANIZER.search(_unfolded(path, read_file(path)))
    return organizer[1] if organizer else None


def content_name(path: str) -> str:
    """Return the name of the attached file, which ends in .ics."""
    name = PurePath(path).name
    return name if content_type(path) == ("text", "calendar") else f"{name}.ics"


def folded(line: str) -> str:
    """Fold a line of more than 75 octets, between characters (RFC 5545 section 3.1)."""
    if len(line) * 4 <= _LONGEST_LINE or len(line.encode("utf-8", "replace")) <= _LONGEST_LINE:
        return line
    return "\n ".join(_parts(line))


def _parts(line: str) -> Iterator[str]:
    room, begun, octets = _LONGEST_LINE, 0, 0
    for at, character in enumerate(line):
        width = len(character.encode("utf-8", "replace"))
        if octets + width > room:
            yield line[begun:at]
            room, begun, octets = _LONGEST_LINE - 1, at, 0  # since a space begins the next line
        octets += width
    yield line[begun:]


def _unfolded(path: str, data: bytes) -> str:
    if len(data) > _MOST_OCTETS:
        raise MessageError(f"calendar {path!r} has more than {_MOST_OCTETS >> 20} MB: shorten it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MessageError(
            f"calendar {path!r} is not UTF-8, as calendars are: save it so"
        ) from None
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace(OPEN, "").replace(CLOSE, "")
    return re.sub(r"\n[ \t]", "", lines).strip() + "\n"


def _method(path: str, text: str) -> str:
    upper = text.upper()
    if not (upper.startswith("BEGIN:VCALENDAR\n") and upper.endswith("\nEND:VCALENDAR\n")):
        raise MessageError(
            f"calendar {path!r} is not a calendar, from BEGIN:VCALENDAR to END:VCALENDAR: export it"
            " from a calendar program"
        )
    if not (method := _METHOD.search(text)):
        raise MessageError(
            f"calendar {path!r} has no METHOD, so it is no invitation: add the line METHOD:REQUEST"
            " (or PUBLISH, for no answer), or send the file as an attachment"
        )
    return method[1].upper()
