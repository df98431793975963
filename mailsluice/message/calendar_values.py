"""Escape values where they go into a calendar (RFC 5545), by their place in its line. Pure.

The template's environment puts marks around each value that it inserts (`message/sandbox.py`). So
the template sees values as they are, and what it has made of them is escaped here:

- in a parameter, quotes, controls and line ends are replaced, since nothing escapes them (section
  3.2); outside of quotes also what would end the parameter;
- in the value of a property that is an address (URI, CAL-ADDRESS), characters that no address has
  are percent-encoded (section 3.3.13, RFC 3986);
- everywhere else, values are texts (section 3.3.11).

No value has a line end afterwards, so none can add a property.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from mailsluice.message.sandbox import CLOSE, OPEN

_MARKED = re.compile(f"{OPEN}([^{OPEN}{CLOSE}]*){CLOSE}")
_LINE_ENDS = re.compile("\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")
_CONTROLS = dict.fromkeys((*range(32), 127))
_OF_TEXT = {
    **_CONTROLS,
    ord("\\"): "\\\\",
    ord(";"): "\\;",
    ord(","): "\\,",
    ord("\n"): "\\n",
    ord("\t"): " ",
}
_OF_QUOTED = {**_CONTROLS, ord('"'): "'", ord("\n"): " ", ord("\t"): " "}
_OF_PARAMETER = {**_OF_QUOTED, **dict.fromkeys(map(ord, ";:,"), " ")}
_URI_SAFE = ":/?#[]@!$&'()*+,;=%-._~"
_ADDRESSES = re.compile(
    r"(?:ATTACH|ATTENDEE|CONFERENCE|IMAGE|ORGANIZER|SOURCE|TZURL|URL)(?![A-Z0-9-])"
    r"(?!.*;VALUE=(?:TEXT|BINARY))"
    r"|[A-Z0-9-]+;(?:.*;)?VALUE=\"?(?:URI|CAL-ADDRESS)",
    re.IGNORECASE | re.DOTALL,
)
"""The beginning of a line whose value is an address."""


def with_values(rendered: str) -> str:
    """Escape the marked values in a rendered calendar, which is not folded yet."""
    line, parts, end = _Line(), list[str](), 0
    for match in _MARKED.finditer(rendered):
        before = rendered[end : match.start()]
        line.read(before)
        parts += (before, line.escaped(match[1]))
        end = match.end()
    return "".join((*parts, rendered[end:]))


class _Line:
    """A line of the calendar, up to a place in it."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._head: list[str] = []
        self._is_quoted = self._is_value = self._is_address = False

    def read(self, text: str) -> None:
        """Read on in the template's own text."""
        *ended, rest = text.rsplit("\n", 1)
        if ended:
            self._begin()
        if self._is_value:
            return
        for match in re.finditer('[":]', rest):
            if match[0] == '"':
                self._is_quoted = not self._is_quoted
            elif not self._is_quoted:
                self._is_value = True
                head = "".join((*self._head, rest[: match.start()]))
                self._is_address = _ADDRESSES.match(head.lstrip()) is not None
                return
        self._head.append(rest)

    def escaped(self, value: str) -> str:
        """Escape a value for this place."""
        value = _LINE_ENDS.sub("\n", value)
        if self._is_address:
            return quote(value.translate(_CONTROLS).strip(), safe=_URI_SAFE, errors="replace")
        if self._is_value:
            return value.translate(_OF_TEXT)
        return value.translate(_OF_QUOTED if self._is_quoted else _OF_PARAMETER)
