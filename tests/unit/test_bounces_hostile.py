"""Mail that is written to cost time is read in linear time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mailsluice.bounces.fetched import MAX_OCTETS
from mailsluice.bounces.reading import read
from tests.unit.growth import TIMES, is_in_proportion

_NOTHING = 0.25
"""Seconds of processor time. Quadratic work for these lengths takes much longer."""

_FROM = b"From: MAILER-DAEMON@example.net\nSubject: undelivered\n"
_PLAIN = _FROM + b"\n"
_REPORT = (
    b"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"
)
_BEGINNINGS = b"\n".join(  # each starts a search for addresses in flufl.bounce
    (
        b"here is your list of failed recipients",
        b"the following addresses had",
        b"this message was created automatically by mail delivery software",
        b"failed addresses follow:",
        b"A message that you sent could not be delivered",
        b"Delivery to the following recipient failed",
        b"Did not reach the following recipient",
        b"Your message could not be delivered to",
        b"Sorry, unable to deliver your message to",
        b"A message could not be delivered to:",
        b"Invalid final delivery userid:",
        b"Your message",
        b"Message not delivered to the following",
        b"",
    )
)


def _nested(size: int) -> bytes:
    line = b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n'
    return b"".join(line % (depth, depth) for depth in range(size // 60))


def _encoded(encoding: bytes, unit: bytes) -> Callable[[int], bytes]:
    head = _FROM + b"Content-Type: text/plain\nContent-Transfer-Encoding: " + encoding + b"\n\n"
    return lambda size: head + unit * (size // len(unit))


def _text(unit: bytes, head: bytes = _PLAIN, tail: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: head + unit * (size // len(unit)) + tail


MAILS: dict[str, Callable[[int], bytes]] = {
    "a@": _text(b"a@", _PLAIN + _BEGINNINGS),
    "lines of a@": _text(b"a@" * 99 + b"\n", _PLAIN + _BEGINNINGS),
    "one word": _text(b"a", _PLAIN + _BEGINNINGS),
    "long words": _text(b"a" * 500 + b"\n", _PLAIN + _BEGINNINGS),
    "spaces": _text(b" ", _PLAIN + _BEGINNINGS),
    "lines of spaces": _text(b" " * 500 + b"\n", _PLAIN + _BEGINNINGS),
    "brackets": _text(b"<", _PLAIN + _BEGINNINGS),
    "lines of brackets": _text(b"<" * 500 + b"\n", _PLAIN + _BEGINNINGS),
    "hyphens": _text(b"-"),
    "lines of hyphens": _text(b"---\n"),
    "dots": _text(b"."),
    "statuses": _text(b"5.1.1 "),
    "codes": _text(b"550 -> said: "),
    "empty lines": _text(b" \n"),
    "tokens": _text(b"+1=00112233aabb@x "),
    "half tokens": _text(b"+1234567890123456789"),
    "Message-IDs": _text(b"<" + b"a" * 32 + b"@x> "),
    "addresses": _text(b"a@.", _PLAIN + b"<" + b"a" * 32 + b"@x> "),
    "nested": _nested,
    "nested, and many lines": lambda size: _nested(5_000) + b"a\n" * (size // 2),
    "nested mails": _text(b"Content-Type: message/rfc822\n\n", b""),
    "parts": _text(b"--b\n\n", b"Content-Type: multipart/mixed; boundary=b\n\n"),
    "half parts": _text(b"--bb\n", b"Content-Type: multipart/mixed; boundary=b\n\n"),
    "a long boundary": _text(b"a", b"Content-Type: multipart/mixed; boundary=", b"\n\n--aa\n"),
    "parameters": _text(b'; a="', b"Content-Type: text/plain", b"\n\nx"),
    "parameters in pieces": _text(b";\n a*0=x", b"Content-Type: text/plain", b"\n\nx"),
    "fields": _text(b"a:b\n", _FROM, b"\nx"),
    "From in brackets": _text(b"(", b"From: ", b"\n\nx"),
    "From in quotes": _text(b'"', b"From: ", b"\n\nx"),
    "encoded words": _text(b"=?utf-8?b?YWFh?= ", b"From: MAILER-DAEMON\nSubject: ", b"\n\nx"),
    "groups": _text(b"a: b\n\n", _REPORT),
    "recipients": _text(b"Final-Recipient: rfc822;a@b\nAction: failed\nStatus: 5.0.0\n\n", _REPORT),
    "a long reply": _text(b"550 -> said: ", _REPORT + b"Final-Recipient: a\nDiagnostic-Code: "),
    "many words": _text(b"user@[ ", _REPORT + b"Final-Recipient: a\nDiagnostic-Code: "),
    "subjects": _text(b"Subject: a\n"),
    "subjects in a line": _text(b"Subject ", _PLAIN + b"x " * 900),
    "lines of subjects": _text(b"x Subject " * 100 + b"\n"),
    "subjects in quotes": _text(b'subject "'),
    "lines of subjects in quotes": _text(b"subject 'a " * 60 + b"\n"),
    "a folded subject": _text(b" " * 40 + b"a\n", _PLAIN + b"Subject: a\n"),
    "spaces behind a subject": _text(b"subject" + b" " * 1_800 + b"\n"),
    "words of the returned subject": _text(
        b"a ",
        b"From: MAILER-DAEMON\nSubject: Undeliverable: " + b"a " * 150 + b"b\n\n",
    ),
    "the returned subject": _text(
        b"a b\n", b"From: MAILER-DAEMON\nSubject: Undeliverable: a b\n\n"
    ),
    "a returned subject in pieces": _text(
        b" =?utf-8?b?YWFh?=\n", _PLAIN + b"--- Below this line\nSubject: a\n"
    ),
    "base64": _encoded(b"base64", b"YUBhQGFA"),
    "quoted-printable": _encoded(b"quoted-printable", b"=41@"),
    "uuencode": _encoded(b"x-uuencode", b"M" * 61 + b"\n"),
    "JSON in JSON": _text(b'\\"', _PLAIN + b'{"Type":1,"Message":"', b'"}'),
    "JSON brackets": _text(b"[", _PLAIN + b'{"notificationType":'),
    "JSON digits": _text(b"9", _PLAIN + b'{"notificationType":'),
    **{
        charset.decode(): _text(
            b"a-+AGE-", _FROM + b"Content-Type: text/plain; charset=" + charset + b"\n\n"
        )
        for charset in (b"idna", b"punycode", b"utf-7", b"unicode_escape", b"zip", b"x" * 5_000)
    },
}


@pytest.mark.parametrize("write", MAILS.values(), ids=MAILS)
def test_reading_takes_linear_time(write: Callable[[int], bytes]) -> None:
    long, short = write(MAX_OCTETS)[:MAX_OCTETS], write(MAX_OCTETS // TIMES)
    assert is_in_proportion(read, short, long, _NOTHING)
