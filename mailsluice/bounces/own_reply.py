"""Find the reply of the server that refused a mail, in a text that quotes it. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.]*\d)")
_CODE = re.compile(r"(?<![\d.#])[245]\d\d(?![\d.]*\d|/)(?=[\s:;,'-]|$)")
_PAIR = re.compile(r"(?<![\d.])([245]\d\d)[ -][\W_]{0,3}([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_PASSED_ON = re.compile(r"->|\bsaid:|\bresponded:")
"""Words of Microsoft 365, postfix and others before the words of the server behind them."""


class OwnReply(NamedTuple):
    """A server's reply."""

    code: int | None
    """The reply's code (RFC 5321 section 4.2); None if there is none."""
    status: str
    """The enhanced status such as "5.1.1" (RFC 3463), or empty."""


def own_reply(text: str) -> OwnReply:
    """Return the reply of the server that is quoted last, which is the one that refused.

    A status that directly follows the code counts, or else the first status of the same class
    anywhere in the text: "552 mailbox is over quota (#5.2.2)".
    """
    for quoted in reversed(_PASSED_ON.split(text)):
        if pair := _PAIR.search(quoted):
            return OwnReply(int(pair[1]), pair[2])
        if code := _CODE.search(quoted):
            alike = (status for status in statuses(quoted) if status[0] == code[0][0])
            return OwnReply(int(code[0]), next(alike, ""))
    return OwnReply(None, next(iter(statuses(text)), ""))


def statuses(text: str) -> list[str]:
    """Return all enhanced statuses in a text (RFC 3463), in order."""
    return _STATUS.findall(text)
