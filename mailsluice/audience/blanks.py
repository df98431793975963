"""Blanks at the ends of a name or an address, which do not belong to it. Pure."""

from __future__ import annotations

import re

_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
# Characters without width, which people copy from web pages, mails and spreadsheets.
_UNSEEN = (
    "\xad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_BLANKS = _SPACES + _UNSEEN
_FILLER = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def trimmed(text: str) -> str:
    """Remove spaces of all kinds, byte order marks and other invisible characters at both ends."""
    return text.strip(_BLANKS)


def has_unseen(text: str) -> bool:
    """Whether a text has an invisible letter or mark, which email-validator lets through."""
    return _FILLER.search(text) is not None
