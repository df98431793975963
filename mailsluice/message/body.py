"""Encode texts for transfer, as 7-bit lines that every server accepts."""

from __future__ import annotations

from binascii import b2a_base64, b2a_qp
from enum import Enum
from functools import lru_cache

_PLAIN = bytes((9, *range(32, 127)))
"""Tab and printable ASCII: the octets that need no encoding, besides line ends."""
_HIGH = bytes(range(128, 256))
LONGEST_LINE = 998
"""Octets, without the line's end (RFC 5322 section 2.1.1)."""
_BASE64_LINE, _BASE64_OCTETS = 76, 57
SOFT_BREAK = (b"=\n", b"=\r\n")
"""The soft line break as `b2a_qp` writes it, and as it goes out."""


class Encoding(Enum):
    """How a body goes out (RFC 2045 section 6.1)."""

    SEVEN_BIT = "7bit"
    QUOTED_PRINTABLE = "quoted-printable"
    BASE64 = "base64"

    @property
    def header(self) -> bytes:
        """The end of the part's header, before the body."""
        return f"\r\nContent-Transfer-Encoding: {self.value}\r\n\r\n".encode()


SEVEN_BIT = Encoding.SEVEN_BIT.header
_QUOTED = Encoding.QUOTED_PRINTABLE.header
_BASE64 = Encoding.BASE64.header


def encode_body(text: str, marker: bytes) -> bytes:
    """Return the end of a part's header and the encoded body.

    The body is 7-bit with CRLF at the end of every line, and no line has more than 998 octets.
    Plain ASCII is not encoded (RFC 2045 section 2.7). Any other text, and text that contains
    `marker`, is encoded as quoted-printable or base64, whichever is shorter.

    Args:
        text: The body.
        marker: The beginning of the boundaries. If it contains "=_", it cannot occur in
            quoted-printable or base64 (section 6.7).
    """
    data = text.encode("utf-8", "replace")
    if not data.endswith(b"\n"):
        data += b"\n"
    special = data.translate(None, _PLAIN)
    if special == b"\n" * len(special) and marker not in data and _lines_fit(data):
        return SEVEN_BIT + data.replace(b"\n", b"\r\n")
    return _armoured(data.splitlines())


def _lines_fit(data: bytes) -> bool:
    """Whether every line has at most 998 octets; only one line end in 998 octets is looked at."""
    start = 0
    while len(data) - start > LONGEST_LINE:
        end = data.rfind(b"\n", start, start + LONGEST_LINE + 1)
        if end < 0:
            return False
        start = end + 1
    return True


def _armoured(lines: list[bytes]) -> bytes:
    data = b"\r\n".join([*lines, b""])
    if _is_base64_shorter(data):
        return _BASE64 + base64_lines(data)
    return _QUOTED + b"\r\n".join([*map(_quoted, lines), b""])


def best_encoding(text: str) -> Encoding:
    """Return the shorter of quoted-printable and base64 for a text."""
    is_shorter = _is_base64_shorter(text.encode("utf-8", "replace"))
    return Encoding.BASE64 if is_shorter else Encoding.QUOTED_PRINTABLE


def _is_base64_shorter(data: bytes) -> bool:
    high = len(data) - len(data.translate(None, _HIGH))
    return 2 * high > 0.37 * len(data)  # "=E9" adds two octets for each, base64 37 % in all


def base64_lines(data: bytes) -> bytes:
    """Encode octets as base64, in lines of 76 characters that all have an end."""
    if len(data) <= _BASE64_OCTETS:
        return b2a_base64(data, newline=False) + b"\r\n" if data else b""
    encoded = b2a_base64(data, newline=False)
    lines = [encoded[at : at + _BASE64_LINE] for at in range(0, len(encoded), _BASE64_LINE)]
    return b"\r\n".join([*lines, b""])


def _quoted(line: bytes) -> bytes:
    return _quoted_once(line) if len(line) < LONGEST_LINE else b2a_qp(line).replace(*SOFT_BREAK)


@lru_cache(maxsize=4096)
def _quoted_once(line: bytes) -> bytes:
    """Encode a line, cached, since most lines are the same for all and b2a_qp is slow."""
    return b2a_qp(line).replace(*SOFT_BREAK)
