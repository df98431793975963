"""The promises of all kinds of session, over every encryption and on both event loops."""

from __future__ import annotations

import pytest

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Phase, Verdict
from mailsluice.smtp.chunked import ChunkedSession
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.smtp.pipelined import PipelinedSession
from mailsluice.smtp.sequential import SequentialSession
from mailsluice.smtp.session import Session
from tests.integration.smtp_fixtures import (
    KINDS,
    SENDER,
    Certificates,
    connection_to,
    deliver,
    envelopes,
    run,
    secured,
)
from tests.smtpd import Settings, SmtpServer

ACCEPTED = Verdict.ACCEPTED


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=list(KINDS))
def keywords(request: pytest.FixtureRequest) -> tuple[str, ...]:
    offered = KINDS[request.param]
    return (*offered, "SIZE 1000000", "8BITMIME", "SMTPUTF8") if offered else ()


@pytest.mark.parametrize("security", list(Security))
def test_every_message_arrives_once_and_unchanged(
    keywords: tuple[str, ...], security: Security, loop: str, certificates: Certificates
) -> None:
    bodies = [
        b"plain\r\n",
        b".\r\n..\r\n.dots\r\n\r\n.\r\n",  # dot-stuffing
        b"\r\n" * 3,
        b"",
        b"x" * 70 + b"\r\n" + b".long\r\n" * 60_000,  # streamed: larger than the buffers
        b"the last\r\n",
    ]
    mail = [
        Envelope(number, SENDER, f"r{number}@example.com", b"Subject: s\r\n\r\n" + body)
        for number, body in enumerate(bodies)
    ]
    settings = secured({"keywords": keywords}, security, certificates)
    with SmtpServer(settings) as server:
        connection = connection_to(server, security=security, ca_file=certificates.ca_file)
        feed, error = deliver(connection, mail, loop)
        assert error is None
        assert set(feed.verdicts().values()) == {ACCEPTED}
        assert [one.content for one in server.received] == [one.content for one in mail]
        assert server.sessions == 1


def test_a_content_that_starts_with_a_dot_arrives_unchanged(keywords: tuple[str, ...]) -> None:
    mail = [Envelope(1, SENDER, "a@example.com", b".odd: header\r\n\r\n.\r\n")]
    with SmtpServer(Settings(keywords=keywords)) as server:
        deliver(connection_to(server), mail)
        assert server.received[0].content == mail[0].content


@pytest.mark.parametrize("piece", [None, 1, 7])
def test_replies_may_be_cut_anywhere(keywords: tuple[str, ...], piece: int | None) -> None:
    with SmtpServer(Settings(keywords=keywords, piece=piece)) as server:
        feed, error = deliver(connection_to(server), envelopes("a", "550-at-rcpt", "b"))
        assert error is None
        assert list(feed.verdicts().values()) == [ACCEPTED, Verdict.FAILED, ACCEPTED]
        assert feed.attempt("550-at-rcpt").text == "5.1.1 as the address wants it"


def test_the_dot_is_reported_before_the_outcome(keywords: tuple[str, ...]) -> None:
    with SmtpServer(Settings(keywords=keywords)) as server:
        feed, _ = deliver(connection_to(server), envelopes("a", "450-at-rcpt", "b"))
        for number in (0, 2):
            assert feed.log.index(f"dot {number}") < feed.log.index(f"settled {number}")
        assert [one for one in feed.log if "settled" in one] == [f"settled {i}" for i in range(3)]


def test_mail_that_arrives_later_is_sent(keywords: tuple[str, ...]) -> None:
    names = ("a", "b", "550-at-rcpt", "c", "d")
    with SmtpServer(Settings(keywords=keywords)) as server:
        _, error = deliver(connection_to(server), envelopes(*names), pauses=("b", "c", "d"))
        assert error is None
        assert [one.recipient[0] for one in server.received] == ["a", "b", "c", "d"]


def test_a_session_ends_after_its_number_of_messages(keywords: tuple[str, ...]) -> None:
    with SmtpServer(Settings(keywords=keywords)) as server:
        connection = connection_to(server, messages_per_session=2)
        feed, error = deliver(connection, envelopes("a", "b", "c"))
        assert error is None
        assert list(feed.verdicts()) == ["a", "b"]
        assert [one.recipient for one in feed.waiting] == ["c@example.com"]


@pytest.mark.parametrize("silently", [False, True])
def test_a_server_that_closes_after_some_messages_loses_nothing(
    keywords: tuple[str, ...], silently: bool
) -> None:
    settings = Settings(keywords=keywords, messages_per_session=2, closes_silently=silently)
    told = {ACCEPTED, Verdict.UNTOUCHED}
    if silently and "CHUNKING" in keywords:  # without a 421 nobody knows about those behind
        told.add(Verdict.UNCERTAIN)
    with SmtpServer(settings) as server:
        mail, done = envelopes(*"abcde"), dict[str, Verdict]()
        for _ in range(4):
            feed, _ = deliver(connection_to(server), mail)
            assert set(feed.verdicts().values()) <= told
            done |= {
                name: one
                for name, one in feed.verdicts().items()
                if one in told - {Verdict.UNTOUCHED}
            }
            mail = [one for one in mail if one.recipient[0] not in done]
        assert not mail
        accepted = [f"{name}@example.com" for name, verdict in done.items() if verdict is ACCEPTED]
        assert sorted(server.recipients.elements()) == sorted(accepted)


def test_messages_that_the_server_cannot_take_fail_unsent() -> None:
    keywords = ("PIPELINING", "SIZE 200")
    mail = [
        *envelopes("a"),
        *envelopes("large", body=b"x" * 200 + b"\r\n"),
        Envelope(3, SENDER, "jörg@example.com", b"Subject: s\r\n\r\n", smtputf8=True),
        Envelope(4, SENDER, "b\r\nRSET@example.com", b"Subject: s\r\n\r\n"),
        *envelopes("z"),
    ]
    with SmtpServer(Settings(keywords=keywords)) as server:
        feed, error = deliver(connection_to(server), mail)
        assert error is None
        assert sorted(server.recipients) == ["a@example.com", "z@example.com"]
        assert feed.verdicts()["large"] is Verdict.FAILED
        assert "216 bytes, the server takes 200" in feed.attempt("large").text
        assert "SMTPUTF8" in feed.attempt("jörg").text
        assert "control character" in feed.attempt("b\r\nRSET").text


def test_a_non_ascii_address_is_sent_if_smtputf8_is_offered() -> None:
    mail = [Envelope(1, SENDER, "jörg@example.com", "Subject: ö\r\n\r\n".encode(), smtputf8=True)]
    with SmtpServer() as server:
        deliver(connection_to(server), mail)
        assert server.received[0].recipient == "jörg@example.com"
        assert (
            server.received[0].parameters == f"SIZE={len(mail[0].content)} BODY=8BITMIME SMTPUTF8"
        )


def test_a_port_without_a_server_is_the_connections_trouble() -> None:
    with SmtpServer() as server:
        port = server.port
    connection = Connection("test", "127.0.0.1", port, Security.NONE, local_hostname="c.example")
    _, error = deliver(connection, [])
    assert error is not None
    assert error.phase is Phase.CONNECT
    assert f"connection refused by 127.0.0.1:{port}" in str(error)


@pytest.mark.parametrize(
    ("offered", "messages_in_flight", "kind"),
    [
        (("PIPELINING", "CHUNKING"), 2, ChunkedSession),
        (("PIPELINING", "CHUNKING"), 1, PipelinedSession),
        (("PIPELINING",), 2, PipelinedSession),
        (("CHUNKING",), 2, SequentialSession),
        ((), 2, SequentialSession),
    ],
)
def test_server_and_connection_decide_on_the_kind_of_session(
    offered: tuple[str, ...], messages_in_flight: int, kind: type
) -> None:
    async def work() -> Session:
        connection = connection_to(server, messages_in_flight=messages_in_flight)
        session = await open_session(connection)
        session.abort()
        return session

    with SmtpServer(Settings(keywords=offered)) as server:
        assert type(run(work)) is kind


def test_a_sequential_session_takes_no_mail_ahead() -> None:
    with SmtpServer(Settings(keywords=())) as server:
        feed, _ = deliver(connection_to(server), envelopes("a", "drop-at-dot", "b"))
        assert list(feed.verdicts()) == ["a", "drop-at-dot"]
