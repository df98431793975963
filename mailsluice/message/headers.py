"""Header fields, which no data can break out of.

All functions return text without any character that could end the field, in lines of at most 998
octets, and of at most 76 if there is a space to fold at (RFC 5322 section 2.1.1, RFC 2047 section
2).
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from email.headerregistry import Address
from email.utils import quote as escape_quoted
from urllib.parse import quote as percent_encode

from mailsluice.core.errors import MessageError
from mailsluice.core.named_address import addr_spec

_BREAKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
"""Spaces, controls, and all characters that some parser takes for the end of a line."""
_PHRASE = re.compile(r"[A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]+")
_LOCAL = r"[^\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff()<>@,;:\\\"\[\]%s]+"
_DOMAIN = r"@(?:[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[A-Za-z0-9:.]+\])"
_DOT_ATOM = re.compile(rf"{_LOCAL % '.'}(?:\.{_LOCAL % '.'})*{_DOMAIN}")
_ODD_LOCAL = re.compile(rf"({_LOCAL % ''}){_DOMAIN}")
_QUOTED_LOCAL = re.compile(
    rf'"(?:[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"\\]|\\[\x20-\x7e])*"{_DOMAIN}'
)
_URI_SAFE = ":/?#[]@!$&'()*+,;=%-._~"
_HTTP_URI = re.compile(r"[Hh][Tt]{2}[Pp][Ss]?://[A-Za-z0-9:/?#\[\]@!$&'()*+,;=%._~-]+")
_MAX_URI = 900
_LINE = 76
"""The limit of a line with encoded-words (RFC 2047 section 2), under the 78 of RFC 5322."""
_WORD_OCTETS = 45
"""The octets that a base64 encoded-word of 75 characters holds (RFC 2047 section 2)."""


def one_line(value: str) -> str:
    """Replace every run of spaces, controls and line ends by one space."""
    return _BREAKS.sub(" ", value).strip(" ")


def field(name: str, value: str) -> str:
    """Return an unstructured field with its line end; readers see exactly `one_line(value)`.

    A value that is not ASCII, or only looks encoded, becomes encoded-words (RFC 2047).
    """
    value = value.strip(" ")
    if len(name) + len(value) <= _LINE - 2 and _is_plain(value):
        return f"{name}: {value}\r\n"
    value = one_line(value)
    if not value.isascii() or "=?" in value or not _fits(name, value):
        value = _encoded_words(value, len(name) + 2)
    return fold(name, value)


def fold(name: str, value: str) -> str:
    """Return a field of ASCII text with its line end; lines are broken before spaces only."""
    line = f"{name}: {value}"
    lines = []
    first = len(name) + 2
    while len(line) > _LINE:
        cut = line.rfind(" ", first, _LINE + 1)
        if cut < 0:
            cut = line.find(" ", _LINE + 1)
        if cut < 0:
            break
        lines.append(line[:cut])
        line = line[cut:]
        first = 1
    return "\r\n".join((*lines, f"{line}\r\n"))


def mailbox(address: Address) -> str:
    """Return `Name <user@example.com>`, with the name quoted or encoded if it has to be."""
    shown = address_field(addr_spec(address.username, address.domain))
    name = one_line(address.display_name)
    if not name:
        return shown
    if not name.isascii() or not _fits("Reply-To", name):
        return f"{_encoded_words(name, 10)} <{shown}>"
    phrase = name if _PHRASE.fullmatch(name) else f'"{escape_quoted(name)}"'
    return f"{phrase} <{shown}>"


def address_field(email: str) -> str:
    """Return the address for a header: a local part that is no dot-atom gets quotes.

    Raises MessageError, which does not contain the address, if no header can hold the address
    (RFC 5322 section 3.4.1; for local parts outside of ASCII, RFC 6532).
    """
    if _DOT_ATOM.fullmatch(email) and "=?" not in email:
        return email
    if unquoted := _ODD_LOCAL.fullmatch(email):
        local = unquoted[1].replace("=?", r"=\?")  # some programs decode even quoted encoded-words
        return f'"{local}"{email[unquoted.end(1) :]}'
    if _QUOTED_LOCAL.fullmatch(email):
        return email
    raise MessageError(
        "the address holds characters that no header may carry, or its domain is not in ASCII: "
        "correct it"
    )


def uri(value: str) -> str:
    """Return an http or https address with every character outside of RFC 3986 percent-encoded.

    Raises MessageError if the value is something else, or too long for a line.
    """
    if not _HTTP_URI.fullmatch(value):
        value = percent_encode(value.strip(), safe=_URI_SAFE, errors="replace")
        if not _HTTP_URI.fullmatch(value):
            raise MessageError(
                "unsubscribe_url: not an https:// address: correct the template, or the column it "
                "uses"
            )
    if len(value) > _MAX_URI:
        raise MessageError(
            f"unsubscribe_url: {len(value)} characters, a header holds {_MAX_URI}: shorten it"
        )
    return value


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable() and not ("  " in value or "=?" in value)


def _fits(name: str, value: str) -> bool:
    return len(name) + len(value) < 900 or max(map(len, value.split(" "))) < 900


def _encoded_words(value: str, before: int) -> str:
    """Encode a value as RFC 2047 words of whole characters, each short enough for a line.

    `before` is the number of octets before the first word in its line.
    """
    data = value.encode("utf-8", "replace")
    words = []
    start = 0
    room = max((_LINE - before - 12) // 4 * 3, 6)
    while start < len(data):
        end = start + room
        while end < len(data) and data[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        encoded = b2a_base64(data[start:end], newline=False).decode()
        words.append(f"=?utf-8?b?{encoded}?=")
        start, room = end, _WORD_OCTETS
    return " ".join(words)
