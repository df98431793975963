"""Replies out of a stream of bytes, however it is cut (RFC 5321 section 4.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

MAX_REPLY_BYTES = 65_536
"""A server that sends more without ending its reply is not speaking SMTP."""

_CODES = {b"%d" % code: code for code in range(200, 600)}


class Reply(NamedTuple):
    """One reply: its lines are joined with line feeds."""

    code: int
    raw: bytes

    @property
    def text(self) -> str:
        """What follows the code; undecodable bytes, and NUL, which PostgreSQL refuses, replaced."""
        return self.raw.decode("utf-8", "replace").replace("\0", "\ufffd")


@lru_cache(maxsize=256)  # servers say the same few things again and again
def _whole(line: bytes) -> Reply | None:
    """The reply that this line is by itself, if it is one."""
    code = _CODES.get(line[:3])
    return Reply(code, line[4:]) if code is not None and line[3:4] in b" " else None


class ReplyParser:
    """Collects bytes until they make replies.

    Lenient where servers are: lines may end with a bare LF, a code may stand alone. Anything else
    that is no reply sets `malformed`, after which nothing is parsed any more.
    """

    def __init__(self) -> None:
        self.malformed: str | None = None
        self._rest = b""
        self._lines: list[bytes] = []
        self._code = 0
        self._size = 0

    def feed(self, data: bytes) -> list[Reply]:
        """Take the next bytes in; gives the replies that they complete, in order."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        replies: list[Reply] = []
        for line in lines:
            if self.malformed is not None:
                break
            reply = self._line(line.rstrip())
            if reply is not None:
                replies.append(reply)
        if self._size + len(self._rest) > MAX_REPLY_BYTES and self.malformed is None:
            self.malformed = f"a reply longer than {MAX_REPLY_BYTES} bytes"
        return replies

    def _line(self, line: bytes) -> Reply | None:
        if not self._lines and (whole := _whole(line)):
            return whole
        code, separator, text = _CODES.get(line[:3]), line[3:4], line[4:]
        if code is None or separator not in b" -" or (self._lines and code != self._code):
            self.malformed = f"a malformed reply: {line[:200].decode('utf-8', 'replace')!r}"
            return None
        if separator == b"-":
            self._code = code
            self._lines.append(text)
            self._size += len(line)
            return None
        if self._lines:
            text = b"\n".join((*self._lines, text))
            self._lines.clear()
            self._size = 0
        return Reply(code, text)
