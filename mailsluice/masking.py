"""Text of servers and people with whatever looks like an e-mail address hidden. Pure."""

from __future__ import annotations

import re

_EDGE = r"""\s<>()\[\]{},;:"'|@"""  # what an address ends at, in the text of a reply
_ADDRESS = re.compile(
    rf"""<?(?:"[^"\n]{{1,64}}"|[^{_EDGE}]{{1,64}})@(?:\[[^\]\s]{{1,64}}\]|[^{_EDGE}]{{1,255}})>?"""
)


def masked(text: str) -> str:
    """The text with `<address>` for everything like an address, in angle brackets or not.

    Rather too much than too little: any two words around an @ are one (RFC 5321 section 4.1.2 and
    whatever servers make of it). Takes time in proportion to the text's length.
    """
    return _ADDRESS.sub("<address>", text) if "@" in text else text
