"""The promises of a session, against servers of others."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Phase, Verdict
from mailsluice.smtp.chunked import ChunkedSession
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.smtp.pipelined import PipelinedSession
from mailsluice.smtp.sequential import SequentialSession
from tests.integration.real_servers import (
    SIZE_LIMIT,
    RealServer,
    aiosmtpd_server,
)
from tests.integration.smtp_fixtures import SENDER, Certificates, deliver, run

SESSIONS = {
    "sequential": SequentialSession,
    "pipelined": PipelinedSession,
    "chunked": ChunkedSession,
}
TOGETHER = pytest.mark.xdist_group("postfix")
PAIRS = (
    *(pytest.param(("postfix", kind), marks=TOGETHER) for kind in SESSIONS),
    ("aiosmtpd", "sequential"),
    ("aiosmtpd", "pipelined"),
)
_numbers = itertools.count()


@pytest.fixture(scope="module", name="aiosmtpd")
def _aiosmtpd(certificates: Certificates) -> Iterator[RealServer]:
    with aiosmtpd_server(certificates) as server:
        yield server


@pytest.fixture(params=PAIRS, ids="-".join)
def pair(request: pytest.FixtureRequest) -> tuple[RealServer, str]:
    """Return a server, and the kind of session."""
    name, kind = request.param
    return request.getfixturevalue(name), kind


def connection_to(server: RealServer, kind: str, **fields: Any) -> Connection:
    defaults: dict[str, Any] = {"local_hostname": "client.example", "messages_in_flight": 10}
    security = fields.pop("security", Security.NONE)
    return Connection("test", "127.0.0.1", server.ports[kind], security, **{**defaults, **fields})


def letter(
    recipient: str = "ann", body: bytes = b"Hello\r\n", *, subject: str = "x", utf8: bool = False
) -> Envelope:
    """Return a message with its own Message-ID."""
    number = next(_numbers)
    header = (
        f"From: {SENDER}\r\nSubject: {subject}\r\nMessage-ID: <{number}@example.com>\r\n"
        "Date: Tue, 24 Nov 2026 08:00:00 +0000\r\n\r\n"
    ).encode()
    return Envelope(number, SENDER, f"{recipient}@example.com", header + body, smtputf8=utf8)


def name(envelope: Envelope) -> str:
    return f"{envelope.recipient_id}@example.com"


def arrived(server: RealServer, mail: Iterable[Envelope]) -> dict[str, list[bytes]]:
    """Return the bodies that arrived, by Message-ID."""
    return server.bodies([name(one) for one in mail])


def body(envelope: Envelope) -> bytes:
    return envelope.content.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")


def test_the_servers_offer_decides_on_the_kind_of_session(pair: tuple[RealServer, str]) -> None:
    server, kind = pair

    async def work() -> type:
        session = await open_session(connection_to(server, kind))
        session.abort()
        return type(session)

    assert run(work) is SESSIONS[kind]


def test_every_message_arrives_once_around_refused_recipients(
    pair: tuple[RealServer, str],
) -> None:
    server, kind = pair
    good = [letter(f"r{number}") for number in range(60)]
    refused, deferred, last = letter("550-at-rcpt"), letter("450-at-rcpt"), letter("z")
    mail = [*good[:30], refused, *good[30:], deferred, last]
    feed, error = deliver(connection_to(server, kind), mail)
    assert error is None
    attempt = feed.attempt("550-at-rcpt")
    assert (attempt.phase, attempt.code) == (Phase.RCPT, 550)
    verdicts = feed.verdicts()
    assert verdicts.pop("550-at-rcpt") is Verdict.FAILED
    assert verdicts.pop("450-at-rcpt") is Verdict.DEFERRED
    assert set(verdicts.values()) == {Verdict.ACCEPTED}
    expected = [*good, last]
    assert arrived(server, expected) == {name(one): [body(one)] for one in expected}
    sent = [one for one in mail if one not in (refused, deferred)]
    assert sent == expected


@pytest.mark.parametrize("security", [Security.NONE, Security.STARTTLS])
def test_bodies_arrive_unchanged(pair: tuple[RealServer, str], security: Security) -> None:
    server, kind = pair
    mail = [
        letter(body=b".\r\n..\r\n.dots\r\n\r\n.\r\n"),
        letter(body=b"BDAT 5 LAST\r\nQUIT\r\nRSET\r\n"),
        letter(body=b""),
        letter(body=(b".long " * 12 + b"\r\n") * 2_000),  # streamed
        letter(body=b"the last\r\n"),
    ]
    connection = connection_to(server, kind, security=security, ca_file=server.certificates.ca_file)
    _, error = deliver(connection, mail)
    assert error is None
    assert arrived(server, mail) == {name(one): [body(one)] for one in mail}


def test_a_message_that_is_too_large_does_not_affect_others(pair: tuple[RealServer, str]) -> None:
    server, kind = pair
    before, after = letter("before"), letter("after")
    large = letter("large", b"x" * 70 + b"\r\n" + b"y" * 70 + b"\r\n" * SIZE_LIMIT)
    feed, error = deliver(connection_to(server, kind), [before, large, after])
    assert error is None
    assert feed.verdicts() == {
        "before": Verdict.ACCEPTED,
        "large": Verdict.FAILED,
        "after": Verdict.ACCEPTED,
    }
    assert len(arrived(server, [before, after])) == 2


@TOGETHER
@pytest.mark.parametrize("messages_in_flight", [1, 10])
def test_a_message_too_large_for_an_unannounced_limit_does_not_affect_others(
    postfix: RealServer, messages_in_flight: int
) -> None:
    mail = [letter("a"), letter("b"), letter("large", b"x\r\n" * SIZE_LIMIT), letter("c")]
    connection = connection_to(postfix, "unsized", messages_in_flight=messages_in_flight)
    feed, error = deliver(connection, mail)
    assert error is None
    assert feed.verdicts().pop("large") is Verdict.FAILED
    assert feed.attempt("large").code == 552
    good = [one for one in mail if "large" not in one.recipient]
    assert arrived(postfix, good) == {name(one): [body(one)] for one in good}


def test_addresses_and_headers_may_be_utf8(pair: tuple[RealServer, str]) -> None:
    server, kind = pair
    mail = [letter("jörg", subject="schöne Grüße", utf8=True), letter("b")]
    feed, error = deliver(connection_to(server, kind), mail)
    assert error is None
    assert set(feed.verdicts().values()) == {Verdict.ACCEPTED}
    assert len(arrived(server, mail)) == 2


def test_a_session_ends_after_its_number_of_messages(pair: tuple[RealServer, str]) -> None:
    server, kind = pair
    mail = waiting = [letter(f"r{number}") for number in range(5)]
    for left in (3, 1, 0):
        feed, error = deliver(connection_to(server, kind, messages_per_session=2), waiting)
        assert error is None
        waiting = feed.waiting
        assert len(waiting) == left
    assert arrived(server, mail) == {name(one): [body(one)] for one in mail}
