"""The reply of the server that refused a mail, in the words of those that pass it on. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.]*\d)")
_CODE = re.compile(r"(?<![\d.#])[245]\d\d(?![\d.]*\d|/)(?=[\s:;,'-]|$)")
_PAIR = re.compile(r"(?<![\d.])([245]\d\d)[ -][\W_]{0,3}([245]\.\d{1,3}\.\d{1,3})(?![\d.]*\d)")
_PASSED_ON = re.compile(r"->|\bsaid:|\bresponded:")
"""Microsoft 365, postfix and others: in front of the words of the server behind them."""


class OwnReply(NamedTuple):
    """A server's answer."""

    code: int | None
    """The reply's code (RFC 5321 section 4.2), None where there is none."""
    status: str
    """The enhanced status such as "5.1.1" (RFC 3463), or empty."""


def own_reply(text: str) -> OwnReply:
    """The reply in a text: of the server that is quoted last, which is the one that refused.

    A status counts where it directly follows the code; else the first one of the same class does,
    wherever it stands: "552 mailbox is over quota (#5.2.2)".
    """
    for said in reversed(_PASSED_ON.split(text)):
        if pair := _PAIR.search(said):
            return OwnReply(int(pair[1]), pair[2])
        if code := _CODE.search(said):
            alike = (one for one in statuses(said) if one[0] == code[0][0])
            return OwnReply(int(code[0]), next(alike, ""))
    return OwnReply(None, next(iter(statuses(text)), ""))


def statuses(text: str) -> list[str]:
    """All enhanced statuses in a text (RFC 3463), in order."""
    return _STATUS.findall(text)
