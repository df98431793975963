"""Every fault of a server, for all kinds of session: the outcome, and the server's messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailsluice.core.outcome import Phase, Trouble, Verdict, classify
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.smtp.session import OutOfStepError, SessionError
from tests.integration.smtp_fixtures import (
    KINDS,
    ListFeed,
    connection_to,
    deliver,
    envelopes,
    run,
    stream_server,
)
from tests.smtpd import DROP, Fault, Settings, SmtpServer, Stage

PIPELINING = KINDS["pipelined"]
LATER = ("after1", "after2")
BEFORE_DOT = {Phase.MAIL, Phase.RCPT, Phase.DATA}


@dataclass(frozen=True)
class Case:
    """A recipient among good ones, whose address causes the fault."""

    name: str
    phase: Phase
    code: int | None
    verdict: Verdict
    goes_on: bool
    """Whether the session continues."""
    arrived: bool = False
    """Whether the server has the message."""


def _cases() -> Iterator[Case]:
    deferred, failed = Verdict.DEFERRED, Verdict.FAILED
    untouched, uncertain, accepted = Verdict.UNTOUCHED, Verdict.UNCERTAIN, Verdict.ACCEPTED
    mail, rcpt, data, body = Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.BODY
    for stage in (rcpt, data):
        yield Case(f"450-at-{stage}", stage, 450, deferred, goes_on=True)
        yield Case(f"550-at-{stage}", stage, 550, failed, goes_on=True)
    yield Case("450-at-dot", body, 450, deferred, goes_on=True)
    yield Case("554-at-dot", body, 554, failed, goes_on=True)
    yield Case("450-at-mail", mail, 450, untouched, goes_on=True)
    yield Case("550-at-mail", mail, 550, untouched, goes_on=True)
    for stage in (mail, rcpt, data):
        yield Case(f"421-at-{stage}", stage, 421, untouched, goes_on=False)
        yield Case(f"drop-at-{stage}", stage, None, untouched, goes_on=False)
        yield Case(f"hang-at-{stage}", stage, None, untouched, goes_on=False)
        yield Case(f"garbage-at-{stage}", stage, None, untouched, goes_on=False)
    yield Case("250-at-data", data, None, untouched, goes_on=False)  # not 354: out of step
    yield Case("421-at-dot", body, 421, untouched, goes_on=False)
    # The dot is out: only the server knows.
    yield Case("354-at-dot", body, None, uncertain, goes_on=False)
    yield Case("drop-at-body", body, None, uncertain, goes_on=False)
    yield Case("hang-at-body", body, None, uncertain, goes_on=False)
    yield Case("drop-at-dot", body, None, uncertain, goes_on=False)
    yield Case("hang-at-dot", body, None, uncertain, goes_on=False)
    yield Case("garbage-at-dot", body, None, uncertain, goes_on=False)
    yield Case("drop-at-accepted", body, None, uncertain, goes_on=False, arrived=True)
    yield Case("garbage-at-accepted", body, None, uncertain, goes_on=False, arrived=True)
    yield Case("drop-at-after", body, 250, accepted, goes_on=False, arrived=True)
    yield Case("421-at-after", body, 250, accepted, goes_on=False, arrived=True)
    yield Case("garbage-at-after", body, 250, accepted, goes_on=False, arrived=True)


def _in_flight(case: Case) -> Case:
    """Return the case with others in flight, where a message leaves before its first reply."""
    phase = Phase.BODY if case.phase is Phase.DATA else case.phase
    if case.code is None:  # the link is over: nothing that was under way is known
        return replace(case, phase=Phase.BODY, code=None, verdict=Verdict.UNCERTAIN)
    return replace(case, phase=phase)


CASES = {
    "sequential": list(_cases()),
    "pipelined": list(_cases()),
    # 250-at-data: a lie that cannot be told from the truth
    "chunked": [_in_flight(case) for case in _cases() if case.name != "250-at-data"],
}


def send(case: Case, server: SmtpServer) -> tuple[ListFeed, bool]:
    """Send good mail around the faulty one; return whether the session continued."""
    sender = f"{case.name}@example.com" if "-at-mail" in case.name else "news@example.com"
    before, faulty, *after = envelopes("before", case.name, *LATER)
    (faulty,) = envelopes(case.name, sender=sender)
    feed, error = deliver(connection_to(server), [before, faulty, *after], hanging=server)
    assert (error is None) == case.goes_on
    return feed, case.goes_on


@pytest.mark.parametrize(
    ("kind", "case"),
    [(kind, case) for kind, cases in CASES.items() for case in cases],
    ids=lambda one: getattr(one, "name", one),
)
def test_each_fault_has_its_outcome(kind: str, case: Case) -> None:
    with SmtpServer(Settings(keywords=KINDS[kind])) as server:
        feed, goes_on = send(case, server)
        attempt = feed.attempt(case.name)
        assert (attempt.phase, attempt.code) == (case.phase, case.code)
        assert classify(attempt).verdict is case.verdict
        assert server.recipients[f"{case.name}@example.com"] == int(case.arrived)
        verdicts = feed.verdicts()
        before = {Verdict.ACCEPTED}
        if case.name == "250-at-data":  # whose replies these are, nobody knows
            before.add(Verdict.UNCERTAIN)
        assert verdicts["before"] in before
        others = {Verdict.ACCEPTED if goes_on else Verdict.UNTOUCHED}
        if kind == "chunked" and not goes_on and "421" not in case.name:
            others.add(Verdict.UNCERTAIN)  # it may be under way behind the faulty one
        for name in LATER:
            verdict = verdicts.get(name, Verdict.UNTOUCHED)
            assert verdict in others
            arrived = server.recipients[f"{name}@example.com"]
            assert arrived == int(goes_on) or verdict is Verdict.UNCERTAIN


@pytest.mark.parametrize("code", ["450", "550"])
def test_an_accepted_data_after_a_refused_recipient_is_ended_with_an_empty_message(
    code: str,
) -> None:
    settings = Settings(keywords=PIPELINING, data_without_recipients=True)
    with SmtpServer(settings) as server:
        names = ("a", f"{code}-at-rcpt.1", f"{code}-at-rcpt.2", "b", f"{code}-at-rcpt.3")
        feed, error = deliver(connection_to(server), envelopes(*names))
        assert error is None
        assert feed.attempt(names[2]).phase is Phase.RCPT
        assert [one.recipient for one in server.received] == ["a@example.com", "b@example.com"]


def test_a_link_lost_in_a_large_body_leaves_no_message_uncertain() -> None:
    for keywords in KINDS.values():
        with SmtpServer(Settings(keywords=keywords)) as server:
            mail = envelopes("drop-at-body", "b", body=b"x" * 70 + b"\r\n" + b"y\r\n" * 2_000_000)
            feed, error = deliver(connection_to(server), mail)
            assert error is not None
            assert feed.attempt("drop-at-body").phase in BEFORE_DOT
            assert feed.verdicts() == {"drop-at-body": Verdict.UNTOUCHED}
            assert feed.log == ["settled 0"]  # no dot


@pytest.mark.parametrize("kind", ["pipelined", "chunked"])
def test_a_refusal_in_a_large_body_is_about_the_message(kind: str) -> None:
    with SmtpServer(Settings(keywords=KINDS[kind])) as server:
        mail = envelopes("552-at-body", "b", body=b"x" * 70 + b"\r\n" + b"y\r\n" * 2_000_000)
        feed, error = deliver(connection_to(server), mail)
        assert error is not None
        assert feed.attempt("552-at-body").phase in BEFORE_DOT | {Phase.BODY}
        assert feed.verdicts()["552-at-body"] in {Verdict.FAILED, Verdict.UNTOUCHED}


@pytest.mark.parametrize("code", ["250", "450", "550"])
@pytest.mark.parametrize("kind", ["pipelined", "sequential"])
def test_a_stray_reply_in_a_large_body_is_out_of_step(kind: str, code: str) -> None:
    """A server that refuses a body before its end closes the link; this server does not."""
    stray = Fault(Stage.BODY, f"{code} what a day".encode())
    settings = Settings(keywords=KINDS[kind], faults={"a": stray}, goes_on_after_body_fault=True)
    with SmtpServer(settings) as server:
        mail = envelopes("a", "b", body=b"x" * 70 + b"\r\n" + b"y\r\n" * 4_000_000)
        feed, error = deliver(connection_to(server), mail, hanging=server)
        assert isinstance(error, OutOfStepError)
        assert feed.verdicts() == {"a": Verdict.UNTOUCHED}


@pytest.mark.parametrize("kind", ["pipelined", "sequential"])
def test_a_server_without_rset_ends_the_session(kind: str) -> None:
    faults = {"*": Fault(Stage.RSET, b"502 5.5.1 not implemented")}
    with SmtpServer(Settings(keywords=KINDS[kind], faults=faults)) as server:
        feed, error = deliver(connection_to(server), envelopes("550-at-rcpt", "b"))
        assert error is not None
        assert classify(error.attempt).trouble is Trouble.SESSION
        assert feed.verdicts()["550-at-rcpt"] is Verdict.FAILED
        assert feed.verdicts().get("b", Verdict.UNTOUCHED) is Verdict.UNTOUCHED
        assert not server.received


def test_a_reply_of_several_lines_is_kept_whole() -> None:
    reply = b"550-5.1.1 No such user,\r\n550 5.1.1 see our page"
    faults = {"a": Fault(Stage.RCPT, reply)}
    with SmtpServer(Settings(keywords=PIPELINING, faults=faults, piece=3)) as server:
        feed, _ = deliver(connection_to(server), envelopes("a", "b"))
        assert feed.attempt("a").text == "5.1.1 No such user,\n5.1.1 see our page"
        assert feed.verdicts() == {"a": Verdict.FAILED, "b": Verdict.ACCEPTED}


def test_a_deferred_recipient_can_be_sent_to_again() -> None:
    with SmtpServer() as server:
        mail = envelopes("451-at-rcpt-once", "451-at-dot-once")
        first, _ = deliver(connection_to(server), mail)
        second, _ = deliver(connection_to(server), mail)
        assert set(first.verdicts().values()) == {Verdict.DEFERRED}
        assert set(second.verdicts().values()) == {Verdict.ACCEPTED}
        assert set(server.recipients.values()) == {1}


def test_a_surplus_reply_is_never_taken_for_that_of_the_message() -> None:
    """A surplus 250 after 354 would look like the reply to a body that was not sent yet."""
    faults = {"a": Fault(Stage.DATA, b"354 go ahead\r\n250 2.0.0 what a day")}
    for keywords in (PIPELINING, ()):
        with SmtpServer(Settings(keywords=keywords, faults=faults)) as server:
            feed, error = deliver(connection_to(server), envelopes("a", "b"))
            assert error is not None
            assert set(feed.verdicts().values()) == {Verdict.UNTOUCHED}
            assert not server.received


def test_the_error_names_no_address() -> None:
    faults = {"a": Fault(Stage.RCPT, b"421 4.7.0 slow down for <a@example.com>")}
    with SmtpServer(faults=faults) as server:
        feed, error = deliver(connection_to(server), envelopes("a"))
        assert "a@example.com" in feed.attempt("a").text
        assert str(error) == "rcpt: 421 4.7.0 slow down for <address>"
        assert error is not None
        assert classify(error.attempt).trouble is Trouble.THROTTLED


def test_a_link_lost_while_idle_affects_no_message() -> None:
    settings = Settings(messages_per_session=1, closes_silently=True)
    with SmtpServer(settings) as server:
        feed, error = deliver(connection_to(server), envelopes("a", "b"), pauses=("b",))
        assert error is not None
        assert error is not None
        assert feed.verdicts() == {"a": Verdict.ACCEPTED}
        assert [one.recipient for one in feed.waiting] == ["b@example.com"]


def test_a_link_lost_at_the_greeting_is_the_connections_trouble() -> None:
    with SmtpServer(faults={"*": Fault(Stage.GREETING, DROP)}) as server:
        _, error = deliver(connection_to(server), [])
        assert error is not None
        assert error.phase is Phase.CONNECT
        assert classify(error.attempt).trouble is Trouble.SESSION


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_session_that_ends_when_mail_comes_defers_no_recipient(kind: str) -> None:
    """The server's reply about the idle session comes in the place of the reply to MAIL."""
    feed = ListFeed(envelopes("a"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        await reader.readline()
        lines = ["mail.example", *KINDS[kind]]
        writer.write("".join(f"250-{one}\r\n" for one in lines).encode() + b"250 HELP\r\n")
        await reader.read(1)
        writer.write(b"451 4.4.2 Timeout waiting for client input\r\n")
        writer.write_eof()

    async def work() -> None:
        async with stream_server(serve) as port:
            connection = Connection("red", "127.0.0.1", port, Security.NONE, messages_in_flight=5)
            session = await open_session(connection)
            with pytest.raises(SessionError):
                await session.send(feed)

    run(work)
    attempt = feed.attempt("a")
    assert (attempt.phase, attempt.code) == (Phase.MAIL, None)
    assert "451 4.4.2 Timeout" in attempt.text
    assert classify(attempt).trouble is Trouble.SESSION


_WORDS = st.sampled_from(
    [b"SIZE", b"AUTH", b"AUTH=", b"STARTTLS", b"LIMITS", b"PIPELINING", b"CHUNKING", b"SMTPUTF8"]
) | st.binary(max_size=6)
_PARAMETERS = st.sampled_from([b"9" * 5_000, b"-1", b"0", b"RCPTMAX=" + b"9" * 4_400, b"\xff\0"])
_LINES = st.lists(st.tuples(_WORDS, _PARAMETERS | st.binary(max_size=6)), max_size=4)


def _ehlo(lines: list[tuple[bytes, bytes]]) -> bytes:
    """A reply to EHLO with these keywords and parameters, which may be no reply at all."""
    *others, last = [b"mail.example", *(b" ".join(line) for line in lines)]
    return b"".join(b"250-%b\r\n" % line for line in others) + b"250 %b\r\n" % last


@given(
    greeting=st.none() | st.binary(max_size=20), hello=st.binary(max_size=40) | _LINES.map(_ehlo)
)
@example(greeting=None, hello=_ehlo([(b"SIZE", b"9" * 5_000)]))
@example(greeting=None, hello=b"250 \xff\0 SIZE\r\n")
@example(greeting=b"554 \xff\0\r\n", hello=b"")
@example(greeting=b"-99 \xff", hello=b"")
def test_whatever_a_server_says_before_mail_only_ends_the_session(
    greeting: bytes | None, hello: bytes
) -> None:
    """No bytes raise another error, which would be one of ours, and their text can be stored."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if greeting is None:
            writer.write(b"220 mail.example\r\n")
            await reader.readline()
        writer.write(hello if greeting is None else greeting)
        writer.write_eof()

    async def work() -> SessionError | None:
        async with stream_server(serve) as port:
            connection = Connection("test", "127.0.0.1", port, Security.NONE)
            try:
                session = await open_session(connection)
                await session.send(ListFeed(envelopes("a")))
            except SessionError as error:
                return error
        return None

    error = run(work)
    assert error is not None
    text = str(error) + error.attempt.text
    assert "\0" not in text
    assert text.encode()


@pytest.mark.parametrize("name", [b"mail.\xff.example", b"m" * 900, b"\0"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_server_with_an_odd_name_is_known_again(kind: str, name: bytes) -> None:
    """A refusal is confirmed by a second EHLO, whose reply has to begin with the same name."""
    feed = ListFeed(envelopes("a"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        words = (name, *(keyword.encode() for keyword in KINDS[kind]))
        while line := await reader.readline():
            if line.startswith(b"EHLO"):
                writer.write(b"".join(b"250-%b\r\n" % word for word in words) + b"250 HELP\r\n")
            elif line.startswith(b"BDAT"):
                await reader.readexactly(int(line.split()[1]))
                writer.write(b"554 no\r\n")
            elif line == b".\r\n":
                writer.write(b"554 no\r\n")
            elif line == b"DATA\r\n":
                writer.write(b"354 go on\r\n")
            elif line.startswith((b"MAIL", b"RCPT", b"RSET", b"QUIT")):
                writer.write(b"250 ok\r\n")

    async def work() -> None:
        async with stream_server(serve) as port:
            connection = Connection("test", "127.0.0.1", port, Security.NONE)
            await (await open_session(connection)).send(feed)

    run(work)
    assert feed.attempt("a").code == 554
