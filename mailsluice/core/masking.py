"""Hide e-mail addresses and secrets in text from servers and people. Pure.

Text from outside (replies of servers, header fields of mail) is cut before anything looks at it,
and every place that shows such text masks it here, in linear time.
`tests/unit/test_linear_patterns.py` finds every pattern of the engine, and fails when one takes
more time than in proportion to its text.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator
from urllib.parse import quote

ADDRESS_MARK, SECRET_MARK = "<address>", "<secret>"
"""The replacements of a hidden address, and of a hidden secret."""
_PART = r"""[^\s<>()\[\]{},;:"'|@]"""  # all but the characters that end an address in a reply
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
# Not `(?:...)++`: where a look-ahead ends such a repetition, Python before 3.11.5 stops too late.
_ENCODED = re.compile(
    rf"(?<!{_IN_LINKS})(?>(?:(?!%40){_IN_LINKS})+)(?:%40{_IN_LINKS}*+)++", re.IGNORECASE
)


def masked(text: str, spellings: Collection[str] = ()) -> str:
    """Replace everything that looks like an address, in angle brackets or not, by `<address>`.

    When in doubt, text is hidden: anything around an @ counts as an address (RFC 5321 section
    4.1.2, and what servers make of it), and so does anything around a %40 in a link. The time is
    proportional to the length: a match is tried at most once from each character, and the part of
    the text that a failing match looks at is bounded.

    Args:
        text: Text of a server, a mail or a template.
        spellings: Forms of a known address, which are hidden first, whatever their case.
    """
    if spellings:
        text = _replaced(text, spellings, ADDRESS_MARK, re.IGNORECASE)
    if "%40" in text:
        text = _ENCODED.sub(ADDRESS_MARK, text)
    return _ADDRESS.sub(ADDRESS_MARK, text) if "@" in text else text


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Replace each secret by `<secret>`: plain, as in a link, and in base64.

    A server that refuses a login may repeat the login. In base64 a secret is found wherever it
    begins, since logins encode the user name and the password together (RFC 4616).
    """
    forms = {form for secret in secrets if secret for form in _forms(secret)}
    return _replaced(text, forms, SECRET_MARK)


def _replaced(text: str, forms: Iterable[str], mark: str, flags: re.RegexFlag = re.NOFLAG) -> str:
    """Replace these strings; of strings within each other, the longest is replaced."""
    by_length = sorted(filter(None, forms), key=len, reverse=True)
    return (
        re.sub("|".join(map(re.escape, by_length)), mark, text, flags=flags) if by_length else text
    )


_LEAST_ENCODED = 4
"""Characters: shorter pieces of base64 would hide ordinary words."""


def _forms(secret: str) -> Iterator[str]:
    yield from (secret, quote(secret, safe=""), quote(secret), repr(secret)[1:-1])
    octets = secret.encode()
    yield b64encode(octets).decode()
    for before in range(3):  # octets of another text in the group of three where the secret begins
        whole = b64encode(bytes(before) + octets)
        inner = whole[-(-before * 8 // 6) : (before + len(octets)) * 8 // 6].decode()
        if len(inner) >= _LEAST_ENCODED:
            yield inner
