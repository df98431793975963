"""A session that is stopped: no message is torn, and no outcome is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Phase, Verdict
from mailsluice.smtp.login import open_session
from mailsluice.smtp.session import Session, SessionError
from mailsluice.smtp.wire import WireSession
from tests.eventually import eventually_async
from tests.integration.smtp_fixtures import KINDS, ListFeed, connection_to, envelopes, run
from tests.smtpd import Settings, SmtpServer

Stop = Callable[[Session, "asyncio.Task[None]"], object]


@pytest.fixture(params=list(KINDS))
def keywords(request: pytest.FixtureRequest) -> tuple[str, ...]:
    return KINDS[request.param]


def stop_at(
    server: SmtpServer, names: tuple[str, ...], stop: Stop, ready: Callable[[ListFeed], bool]
) -> tuple[ListFeed, BaseException | None]:
    """Send, and stop when the feed has come so far and the session waits for a reply."""
    feed = ListFeed(envelopes(*names))
    return feed, stop_feed(server, feed, stop, ready)


def stop_feed(
    server: SmtpServer, feed: ListFeed, stop: Stop, ready: Callable[[ListFeed], bool]
) -> BaseException | None:
    """Send from a given feed, and stop."""

    async def work() -> BaseException | None:
        session = await open_session(connection_to(server))
        task = asyncio.create_task(session.send(feed))
        assert isinstance(session, WireSession)
        link = session._link
        await eventually_async(lambda: ready(feed))
        # the first is answered
        await eventually_async(lambda: bool(feed.attempts or session._held or link._replies))
        stop(session, task)
        await asyncio.wait([task])
        return asyncio.CancelledError() if task.cancelled() else task.exception()

    error: BaseException | None = run(work)
    feed.check()
    return error


STOPS: dict[str, tuple[Stop, type[BaseException]]] = {
    "cancelled": (lambda _, task: task.cancel(), asyncio.CancelledError),
    "aborted": (lambda session, _: session.abort(), SessionError),
}


@pytest.mark.parametrize("how", list(STOPS))
def test_a_message_is_uncertain_if_stopped_after_the_dot(
    keywords: tuple[str, ...], how: str
) -> None:
    stop, expected = STOPS[how]
    with SmtpServer(Settings(keywords=keywords)) as server:
        feed, error = stop_at(server, ("a", "hang-at-dot"), stop, lambda feed: "dot 1" in feed.log)
        assert isinstance(error, expected)
        assert feed.attempt("hang-at-dot").phase is Phase.BODY
        assert feed.verdicts() == {"a": Verdict.ACCEPTED, "hang-at-dot": Verdict.UNCERTAIN}


@pytest.mark.parametrize("how", list(STOPS))
@pytest.mark.parametrize("kind", ["sequential", "pipelined"])  # chunked: all is out at once
def test_a_message_is_untouched_if_stopped_before_the_dot(kind: str, how: str) -> None:
    stop, expected = STOPS[how]
    with SmtpServer(Settings(keywords=KINDS[kind])) as server:
        feed, error = stop_at(
            server, ("a", "hang-at-rcpt"), stop, lambda feed: len(server.received) == 1
        )
        assert isinstance(error, expected)
        assert feed.verdicts().get("hang-at-rcpt", Verdict.UNTOUCHED) is Verdict.UNTOUCHED
        assert feed.verdicts()["a"] is Verdict.ACCEPTED


def test_a_reply_that_came_before_the_stop_counts() -> None:
    """With pipelining, the body's 250 has come, but the next transaction's replies have not."""
    with SmtpServer(Settings(keywords=("PIPELINING",))) as server:
        feed = ListFeed(envelopes("a", "hang-at-data"))

        async def work() -> None:
            session = await open_session(connection_to(server))
            task = asyncio.create_task(session.send(feed))
            assert isinstance(session, WireSession)
            link = session._link
            await eventually_async(lambda: bool(server.received and link._replies))
            assert not feed.attempts  # the session has not been woken
            task.cancel()
            await asyncio.wait([task])

        run(work)
        assert feed.verdicts() == {"a": Verdict.ACCEPTED, "hang-at-data": Verdict.UNTOUCHED}


@pytest.mark.parametrize("how", list(STOPS))
def test_unanswered_messages_in_flight_are_uncertain_after_a_stop(how: str) -> None:
    stop, expected = STOPS[how]
    names = ("a", "b", "hang-at-rcpt", "c")
    with SmtpServer(Settings(keywords=KINDS["chunked"])) as server:
        feed, error = stop_at(server, names, stop, lambda feed: len(feed.attempts) == 2)
        assert isinstance(error, expected)
        assert feed.verdicts() == {
            "a": Verdict.ACCEPTED,
            "b": Verdict.ACCEPTED,
            **dict.fromkeys(("hang-at-rcpt", "c"), Verdict.UNCERTAIN),
        }


def test_a_session_with_mail_in_flight_can_be_stopped_while_it_waits() -> None:
    class Slow(ListFeed):
        async def next(self) -> Envelope | None:
            if len(self.taken) < 2:
                return await super().next()
            await asyncio.Event().wait()
            raise AssertionError

    for stop, expected in STOPS.values():
        with SmtpServer(Settings(keywords=KINDS["chunked"])) as server:
            mail = envelopes("a", "hang-at-dot", "b")
            feed = Slow(mail, pauses=frozenset(one.recipient for one in mail))
            error = stop_feed(server, feed, stop, lambda feed: "dot 1" in feed.log)
            assert isinstance(error, expected)
            assert feed.verdicts() == {"a": Verdict.ACCEPTED, "hang-at-dot": Verdict.UNCERTAIN}


def test_after_an_error_of_the_feed_no_envelope_is_open(keywords: tuple[str, ...]) -> None:
    class FullDisk(ListFeed):
        def dot(self, envelope: Envelope) -> None:
            if envelope.recipient_id == 1:
                raise OSError("no space left on device")

    with SmtpServer(Settings(keywords=keywords)) as server:
        feed = FullDisk(envelopes("a", "b", "c"))

        async def work() -> None:
            session = await open_session(connection_to(server))
            with pytest.raises(OSError, match="no space"):
                await session.send(feed)

        run(work)
        feed.check()
        assert feed.verdicts()["b"] is Verdict.UNTOUCHED
        assert list(server.recipients) == ["a@example.com"]
