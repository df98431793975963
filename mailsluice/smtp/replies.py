"""Replies out of a stream of bytes, however it is cut (RFC 5321 section 4.2).

What is kept of a reply is bounded, so that nothing that looks at its text later, a log, a pattern,
a column of the database, has more than a few thousand characters to look at.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

MAX_REPLY_BYTES = 65_536
"""A server that sends more without ending its reply is not speaking SMTP."""
MAX_LINES = 1_000
"""The same for lines: the longest real reply, to EHLO, has a few dozen."""
LINE_BYTES = 512
"""Bytes kept of a line: the most that RFC 5321 section 4.5.3.1.5 allows."""
TEXT_BYTES = 2_048
"""Bytes kept of a reply."""

_CODES = {b"%d" % code: code for code in range(200, 600)}


class Reply(NamedTuple):
    """One reply: its lines are joined with line feeds."""

    code: int
    raw: bytes

    @property
    def text(self) -> str:
        """What follows the code; undecodable bytes, and NUL, which PostgreSQL refuses, replaced."""
        return self.raw.decode("utf-8", "replace").replace("\0", "\ufffd")


def bounded(text: str) -> str:
    """The text of a reply that another parser has read, cut like those of this one."""
    lines = text[: MAX_LINES * LINE_BYTES].split("\n")
    return "\n".join(line[:LINE_BYTES] for line in lines)[:TEXT_BYTES]


@lru_cache(maxsize=256)  # servers say the same few things again and again
def _whole(line: bytes) -> Reply | None:
    """The reply that this line is by itself, if it is one."""
    code = _CODES.get(line[:3])
    return Reply(code, line[4:]) if code is not None and line[3:4] in b" " else None


class ReplyParser:
    """Collects bytes until they make replies, in time that grows with their number alone.

    Lenient where servers are: lines may end with a bare LF, a code may stand alone. Anything else
    that is no reply sets `malformed`, after which nothing is parsed any more.
    """

    def __init__(self) -> None:
        self.malformed: str | None = None
        self._rest = b""
        """The beginning of a line that has not ended yet."""
        self._lines: list[bytes] = []
        self._code = 0
        self._kept = 0
        """Bytes in `_lines`."""
        self._size = 0
        """Bytes of the reply so far, with what was not kept, but without `_rest`."""
        self._count = 0
        """Lines of it."""

    def feed(self, data: bytes) -> list[Reply]:
        """Take the next bytes in; gives the replies that they complete, in order."""
        *lines, rest = (self._rest + data).split(b"\n")
        replies: list[Reply] = []
        for line in lines:
            if self.malformed is not None:
                break
            reply = self._line(line.rstrip())
            if reply is not None:
                replies.append(reply)
        self._rest = rest[:LINE_BYTES]
        self._size += len(rest) - len(self._rest)
        if self._size + len(self._rest) > MAX_REPLY_BYTES and self.malformed is None:
            self.malformed = f"a reply longer than {MAX_REPLY_BYTES} bytes"
        return replies

    def _line(self, line: bytes) -> Reply | None:
        line = line[:LINE_BYTES]
        if not self._lines and (whole := _whole(line)):
            self._size = 0
            return whole
        code, separator, text = _CODES.get(line[:3]), line[3:4], line[4:]
        if code is None or separator not in b" -" or (self._lines and code != self._code):
            self.malformed = f"a malformed reply: {line[:200].decode('utf-8', 'replace')!r}"
            return None
        if separator == b"-":
            self._continue(code, line, text)
            return None
        if self._lines:
            text = b"\n".join((*self._lines, text))[:TEXT_BYTES]
            self._lines.clear()
            self._kept = self._count = 0
        self._size = 0
        return Reply(code, text)

    def _continue(self, code: int, line: bytes, text: bytes) -> None:
        self._code = code
        self._size += len(line)
        self._count += 1
        if self._count > MAX_LINES:
            self.malformed = f"a reply of more than {MAX_LINES} lines"
        elif self._kept < TEXT_BYTES or not self._lines:
            self._lines.append(text)
            self._kept += len(text) + 1
