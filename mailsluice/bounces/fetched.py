"""The beginnings of mails, as a server's reply to FETCH has them (RFC 3501 section 7.4.2)."""

from __future__ import annotations

import imaplib
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

MAX_OCTETS = 128 * 1024
"""What is read of a mail. Reports stand at its beginning, before the mail that is returned."""
FIELDS = f"(UID INTERNALDATE BODY.PEEK[]<0.{MAX_OCTETS}>)"


@dataclass(frozen=True, slots=True)
class Fetched:
    """The beginning of a mail."""

    uid: str
    at: float
    """When the mailbox got it: seconds since the epoch."""
    content: bytes


def fetched(data: Sequence[tuple[bytes, bytes] | bytes | None]) -> list[Fetched]:
    """Read imaplib's reply: literals come as pairs, with attributes on both sides of them.

    What a server tells of its own accord between them, such as flags, is left out.
    """
    mails: list[tuple[bytes, bytes]] = []
    for one in data:
        if isinstance(one, tuple):
            mails.append(one)
        elif one and re.match(rb"\d+ \(", one):  # without a literal, where it is empty
            mails.append((one, b""))
        elif one and mails:
            about, content = mails[-1]
            mails[-1] = (about + one, content)
    return [
        Fetched(uid[1].decode(), _moment(about), content)
        for about, content in mails
        if b"BODY[" in about and (uid := re.search(rb"UID (\d+)", about))
    ]


def _moment(about: bytes) -> float:
    with suppress(KeyError, ValueError, OverflowError):  # no such month, no such year
        if received := imaplib.Internaldate2tuple(about):
            return time.mktime(received)
    return time.time()
