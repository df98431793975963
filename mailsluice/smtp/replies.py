"""Parse replies from a stream of bytes, however the stream is cut (RFC 5321 section 4.2).

Only a bounded part of a reply is kept, so that logs, patterns and columns of the database have to
handle only a few thousand characters.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

MAX_REPLY_BYTES = 65_536
"""A server that sends more bytes in a reply does not speak SMTP."""
MAX_LINES = 1_000
"""A server that sends more lines in a reply does not speak SMTP: EHLO's has a few dozen."""
LINE_BYTES = 512
"""Bytes kept of a line: the most that RFC 5321 section 4.5.3.1.5 allows."""
TEXT_BYTES = 2_048
"""Bytes kept of a reply."""

_CODES = {b"%d" % code: code for code in range(200, 600)}
_UNFIT = re.compile("[\0\ud800-\udfff]")


class Reply(NamedTuple):
    """A reply; its lines are joined with line feeds."""

    code: int
    raw: bytes

    @property
    def text(self) -> str:
        """The text after the code.

        Bytes that cannot be decoded are replaced, and so is NUL, which PostgreSQL refuses.
        """
        return self.raw.decode("utf-8", "replace").replace("\0", "\ufffd")


def bounded(text: str) -> str:
    """Cut the text of a reply that another parser has read, as this parser cuts its own.

    That parser keeps bytes that cannot be decoded as surrogates, which no log, database or JSON
    takes: they are replaced, as `Reply.text` replaces them.
    """
    lines = text[: MAX_LINES * LINE_BYTES].split("\n")
    cut = "\n".join(line[:LINE_BYTES] for line in lines)[:TEXT_BYTES]
    return _UNFIT.sub("\ufffd", cut)


@lru_cache(maxsize=256)  # servers repeat the same few replies
def _whole(line: bytes) -> Reply | None:
    """Return the reply that a line is by itself, if it is one."""
    code = _CODES.get(line[:3])
    return Reply(code, line[4:]) if code is not None and line[3:4] in b" " else None


class ReplyParser:
    """Collects bytes until they make replies, in linear time.

    As some servers need it, lines may end with a bare LF, and a code may stand alone. Anything else
    that is not a reply sets `malformed`, after which nothing more is parsed.
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
        """Bytes of the reply so far, including those not kept, but without `_rest`."""
        self._count = 0
        """Lines of the reply so far."""

    def feed(self, data: bytes) -> list[Reply]:
        """Take the next bytes, and return the replies that they complete, in order."""
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
