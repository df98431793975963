"""Text of servers and people with whatever looks like an e-mail address hidden. Pure."""

from __future__ import annotations

import re

_PART = r"""[^\s<>()\[\]{},;:"'|@]"""  # not what an address ends at, in the text of a reply
_ADDRESS = re.compile(
    rf"""
    <? (?: "[^"\n]{{1,64}}" | (?<!{_PART}) {_PART}++ )
    (?: @ (?: \[ [^]\s]*+ \] | {_PART}*+ ) )++ >?
    """,
    re.VERBOSE,
)


def masked(text: str) -> str:
    """The text with `<address>` for everything like an address, in angle brackets or not.

    Rather too much than too little: whatever is before an @ is one, with what is behind it
    (RFC 5321 section 4.1.2, and what servers make of it). Takes time in proportion to the length.
    """
    while "@" in text and (hidden := _ADDRESS.sub("<address>", text)) != text:
        text = hidden  # and again, for quotes that pair only now
    return text
