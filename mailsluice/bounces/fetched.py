"""Read the beginnings of mails from a server's reply to FETCH (RFC 3501 section 7.4.2)."""

from __future__ import annotations

import imaplib
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

MAX_OCTETS = 128 * 1024
"""Octets that are read of a mail. Reports are at its beginning, before the returned mail."""
FIELDS = f"(UID INTERNALDATE BODY.PEEK[]<0.{MAX_OCTETS}>)"


@dataclass(frozen=True, slots=True)
class Fetched:
    """The beginning of a mail."""

    uid: str
    at: float
    """When the mailbox got the mail, in seconds since the epoch."""
    content: bytes


def fetched(data: Sequence[tuple[bytes, bytes] | bytes | None]) -> list[Fetched]:
    """Read imaplib's reply, in which literals come as pairs, with attributes before and after.

    Unsolicited data of the server between them, such as flags, is left out.
    """
    mails: list[tuple[bytes, bytes]] = []
    for item in data:
        if isinstance(item, tuple):
            mails.append(item)
        elif item and re.match(rb"\d+ \(", item):  # an empty mail, which comes without a literal
            mails.append((item, b""))
        elif item and mails:
            about, content = mails[-1]
            mails[-1] = (about + item, content)
    return [
        Fetched(uid[1].decode(), _moment(about), content)
        for about, content in mails
        if b"BODY[" in about and (uid := re.search(rb"UID (\d+)", about))
    ]


def _moment(about: bytes) -> float:
    with suppress(KeyError, ValueError, OverflowError):  # raised for impossible months and years
        if received := imaplib.Internaldate2tuple(about):
            return time.mktime(received)
    return time.time()
