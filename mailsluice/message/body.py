"""Encode texts for transfer, as 7-bit lines that every server accepts."""

from __future__ import annotations

from binascii import b2a_base64, b2a_qp
from functools import lru_cache

_PLAIN = bytes((9, *range(32, 127)))
"""Tab and printable ASCII: the octets that need no encoding, besides line ends."""
_HIGH = bytes(range(128, 256))
LONGEST_LINE = 998
"""Octets, without the line's end (RFC 5322 section 2.1.1)."""
_BASE64_LINE = 76
_SOFT_BREAK = (b"=\n", b"=\r\n")

SEVEN_BIT = b"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
_QUOTED = b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
_BASE64 = b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"


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
    high = len(data) - len(data.translate(None, _HIGH))
    if 2 * high > 0.37 * len(data):  # "=E9" adds two octets for each, base64 37 % in all
        return _BASE64 + _base64(data)
    return _QUOTED + b"\r\n".join([*map(_quoted, lines), b""])


def _base64(data: bytes) -> bytes:
    encoded = b2a_base64(data, newline=False)
    lines = [encoded[at : at + _BASE64_LINE] for at in range(0, len(encoded), _BASE64_LINE)]
    return b"\r\n".join([*lines, b""])


def _quoted(line: bytes) -> bytes:
    return _quoted_once(line) if len(line) < LONGEST_LINE else b2a_qp(line).replace(*_SOFT_BREAK)


@lru_cache(maxsize=4096)
def _quoted_once(line: bytes) -> bytes:
    """Encode a line, cached, since most lines are the same for all and b2a_qp is slow."""
    return b2a_qp(line).replace(*_SOFT_BREAK)
