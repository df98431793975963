"""SMTP commands for an envelope."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.envelope import Envelope
from mailsluice.smtp.commands import Offer, mail, rcpt, refusal, stuffed

PLAIN = Envelope(1, "s@example.com", "r@example.com", b"Subject: x\r\n\r\nhi\r\n")
UTF8 = PLAIN._replace(recipient="jörg@example.com", smtputf8=True)
ALL = Offer(pipelining=True, smtputf8=True, eight_bit=True, size=True, size_limit=100)


def test_commands_use_the_servers_extensions() -> None:
    assert mail(PLAIN, Offer()) == b"MAIL FROM:<s@example.com>\r\n"
    assert mail(PLAIN, ALL) == b"MAIL FROM:<s@example.com> SIZE=18\r\n"
    assert mail(UTF8, ALL) == b"MAIL FROM:<s@example.com> SIZE=18 BODY=8BITMIME SMTPUTF8\r\n"
    assert rcpt(UTF8) == "RCPT TO:<jörg@example.com>\r\n".encode()


@pytest.mark.parametrize(
    ("extensions", "offer"),
    [
        ({}, Offer()),
        ({"pipelining": "", "size": "100", "8bitmime": "", "smtputf8": ""}, ALL),
        ({"size": ""}, Offer(size=True)),
        ({"size": "0"}, Offer(size=True)),  # no fixed limit (RFC 1870 section 4)
        ({"size": "much"}, Offer(size=True)),
        ({"size": " 9" + "0" * 19}, Offer(size=True, size_limit=9 * 10**19)),
        ({"size": "9" * 21}, Offer(size=True)),  # more digits than RFC 1870 allows
        ({"size": "9" * 5_000}, Offer(size=True)),  # more than int() takes
        ({"size": "\u0661\u0662"}, Offer(size=True)),  # digits, but not ASCII
        ({"size": "-1"}, Offer(size=True)),
        ({"size": "1_000"}, Offer(size=True)),
    ],
)
def test_an_offer_is_read_from_ehlo(extensions: dict[str, str], offer: Offer) -> None:
    assert Offer.from_extensions(extensions) == offer


@pytest.mark.parametrize(
    ("envelope", "offer", "reason"),
    [
        (UTF8, Offer(), "SMTPUTF8"),
        (UTF8._replace(smtputf8=False), ALL, "not ASCII"),
        (PLAIN._replace(content=b"x" * 101), ALL, "101 bytes, the server takes 100"),
        (PLAIN._replace(recipient="r@example.com>\r\nRSET"), ALL, "control character"),
        (PLAIN._replace(sender="s\n@example.com"), ALL, "control character"),
    ],
)
def test_envelopes_that_the_server_cannot_take_are_refused(
    envelope: Envelope, offer: Offer, reason: str
) -> None:
    attempt = refusal(envelope, offer)
    assert attempt is not None
    assert attempt.refused_here
    assert reason in attempt.text


def test_other_envelopes_are_not_refused() -> None:
    assert refusal(PLAIN, Offer()) is None
    assert refusal(UTF8, ALL) is None
    assert refusal(PLAIN._replace(content=b"x" * 100), ALL) is None


LINES = st.lists(st.sampled_from([b"", b".", b"..", b".x", b"x", b"x.", b"a\n.b"]), max_size=8)


@given(LINES)
def test_no_line_of_a_stuffed_content_ends_the_message(lines: list[bytes]) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    sent = b"\r\n" + stuffed(content)
    assert b"\n.\r\n" not in sent
    assert b"\n.\n" not in sent
    assert sent.endswith(b"\r\n")


@given(LINES)
def test_a_server_can_remove_the_stuffing(lines: list[bytes]) -> None:
    lines = [line for line in lines if b"\n" not in line]
    content = b"".join(line + b"\r\n" for line in [b"Subject: x", *lines])
    received = [line.removeprefix(b".") for line in stuffed(content).split(b"\r\n")]
    assert b"\r\n".join(received) == content
