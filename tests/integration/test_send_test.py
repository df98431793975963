"""Test copies over real sessions, under limits in real databases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Phase
from mailsluice.core.steady import steady
from mailsluice.limits import Limit, Rules
from mailsluice.operations.send_test import Delivery, deliver
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import open_session
from mailsluice.store import Ask, Database, Usages
from tests.smtpd import DROP, Fault, Settings, SmtpServer, Stage

pytestmark = pytest.mark.takes_turns


def envelopes(number: int) -> list[Envelope]:
    content = b"Subject: Hi\r\nMessage-ID: <1@example.com>\r\n\r\nHello\r\n"
    return [
        Envelope(i, "news@example.com", f"me{i}@example.org", content) for i in range(1, number + 1)
    ]


def to(server: SmtpServer, **fields: Any) -> Connection:
    return Connection("red", server.host, server.port, Security.NONE, **fields)


async def delivered(
    database: Database, connection: Connection, number: int, **fields: Any
) -> Delivery:
    return await deliver(
        connection, envelopes(number), database, **{"open_session": open_session, **fields}
    )


def codes(delivery: Delivery) -> Sequence[int | None]:
    return [attempt.code if attempt else None for attempt in delivery.attempts]


@pytest.mark.parametrize("messages", [None, 1, 2])
async def test_each_copy_goes_once_over_as_many_sessions_as_it_takes(
    database: Database, messages: int | None
) -> None:
    with SmtpServer() as server:
        found = await delivered(database, to(server, messages_per_session=messages), 4)
    assert codes(found) == [250] * 4
    assert list(server.recipients.values()) == [1] * 4
    assert server.most_open == 1


async def test_a_refused_copy_does_not_keep_the_others_from_going(database: Database) -> None:
    with SmtpServer(faults={"me2": Fault(Stage.RCPT, b"550 5.1.1 no")}) as server:
        assert codes(await delivered(database, to(server), 3)) == [250, 550, 250]


@pytest.mark.parametrize(
    ("keywords", "phases", "sessions"),
    [
        (("PIPELINING",), [Phase.BODY, Phase.BODY, Phase.DATA], 1),  # the third was under way
        ((), [Phase.BODY, Phase.BODY, Phase.BODY], 2),
    ],
)
async def test_a_link_that_breaks_at_one_copy_leaves_the_others_theirs(
    database: Database, keywords: tuple[str, ...], phases: list[Phase], sessions: int
) -> None:
    faults = {"me2": Fault(Stage.DOT, DROP)}
    with SmtpServer(Settings(keywords=keywords, faults=faults)) as server:
        found = await delivered(database, to(server), 3)
    assert [attempt.phase for attempt in found.attempts if attempt] == phases
    assert codes(found) == [250, None, None if keywords else 250]
    assert server.sessions == sessions


async def test_a_server_that_is_gone_is_told_for_each_copy(database: Database) -> None:
    with SmtpServer() as server:
        connection = to(server)
    found = await delivered(database, connection, 2)
    assert [attempt.phase for attempt in found.attempts if attempt] == [Phase.CONNECT] * 2


async def test_a_limit_spaces_copies_and_the_next_test_as_well(database: Database) -> None:
    with SmtpServer() as server:
        connection = to(server, per_second=5)
        for _ in range(2):
            assert codes(await delivered(database, connection, 4)) == [250] * 4
    times = [envelope.time for envelope in server.received]
    assert all(later - earlier > 1.0 for earlier, later in zip(times, times[5:], strict=False))


async def test_what_campaigns_have_used_up_is_not_there_for_a_test(database: Database) -> None:
    rules = {"connection red": Rules((Limit(2, 3_600.0),))}
    with database.write() as transaction:
        now = steady()
        used = Ask("a campaign", rules, open=0, replies=[now, now], most=0, horizon_seconds=0.1)
        Usages(database).reserve(transaction, [used])
    with SmtpServer() as server:
        found = await delivered(database, to(server, per_hour=2), 1)
    assert found.attempts == [None]
    assert server.sessions == 0


async def test_what_a_test_has_used_up_is_not_there_for_campaigns(database: Database) -> None:
    rules = {"connection red": Rules((Limit(1, 3_600.0),))}
    with SmtpServer() as server:
        assert codes(await delivered(database, to(server, per_hour=1), 1)) == [250]
    ask = Ask("a campaign", rules, open=0, replies=[], most=5, horizon_seconds=60.0)
    with database.write() as transaction:
        (starts,) = Usages(database).reserve(transaction, [ask])
    assert starts.moments == []
    assert starts.next_at - steady() > 3_000


async def test_without_limits_nothing_is_asked(database: Database) -> None:
    with SmtpServer(Settings(keywords=("8BITMIME",))) as server:  # no PIPELINING
        assert codes(await delivered(database, to(server), 2)) == [250, 250]


async def test_a_session_that_carries_nothing_is_followed_by_another(database: Database) -> None:
    """A session may end early, for example when its slot is recalled."""

    class Recalled:
        async def send(self, feed: object) -> None:
            pass

        def abort(self) -> None:
            pass

    opened = []

    async def opening(connection: Connection) -> Any:
        opened.append(connection)
        await asyncio.sleep(0)
        return Recalled() if len(opened) == 1 else await open_session(connection)

    with SmtpServer() as server:
        assert codes(await delivered(database, to(server), 2, open_session=opening)) == [250, 250]
    assert len(opened) == 2
