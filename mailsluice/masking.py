"""Text of servers and people with whatever looks like an e-mail address hidden. Pure."""

from __future__ import annotations

import re

_PART = r"""[^\s<>()\[\]{},;:"'|@]"""  # not what an address ends at, in the text of a reply
_ADDRESS = re.compile(
    rf"""
    <?
    (?: "[^"\n]{{1,64}}+" | (?<!{_PART}) {_PART}++ "? | " )       # its local part, quoted or not
    (?: @ (?: \[ [^][\s]{{0,255}}+ \] | {_PART}*+ ) )++           # a domain, a literal, a route
    >?
    """,
    re.VERBOSE,
)
_IN_LINKS = r"""[^\s"'<>=&?/:;,()@]"""
_ENCODED = re.compile(
    rf"(?<!{_IN_LINKS})(?:(?!%40){_IN_LINKS})++(?:%40{_IN_LINKS}*+)++", re.IGNORECASE
)


def masked(text: str) -> str:
    """The text with `<address>` for everything like an address, in angle brackets or not.

    Rather too much than too little: whatever is before an @ is one, with what is behind it
    (RFC 5321 section 4.1.2, and what servers make of it); in links, where it is written %40, too.
    Takes time in proportion to the length: each character begins at most one attempt, and what an
    attempt may look at without success has a bound.
    """
    if "%40" in text:
        text = _ENCODED.sub("<address>", text)
    return _ADDRESS.sub("<address>", text) if "@" in text else text
