"""E-mail addresses and secrets, hidden in the text of servers and people. Pure.

Text from outside is cut before anything looks at it: lines of servers, header fields of mail. One
masker hides addresses, in linear time. `tests/unit/test_linear_patterns.py` finds every pattern of
the engine and fails where one of them takes more time than in proportion to its text.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

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


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with `<secret>` for each of these, plain, as in a link, and in base64.

    A server that refuses a login may repeat what it was told. In base64 a secret is found wherever
    it begins, since logins pack the user name into the same text (RFC 4616).
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    if not forms:
        return text
    return re.sub("|".join(map(re.escape, sorted(forms, key=len, reverse=True))), "<secret>", text)


_LEAST_ENCODED = 4


def _forms(secret: str) -> Iterator[str]:
    yield from (secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1])
    octets = secret.encode()
    yield b64encode(octets).decode()
    for before in range(3):  # of each group of three octets
        whole = b64encode(bytes(before) + octets)
        inner = whole[-(-before * 8 // 6) : (before + len(octets)) * 8 // 6].decode()
        if len(inner) >= _LEAST_ENCODED:
            yield inner
