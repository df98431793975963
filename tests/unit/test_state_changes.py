"""Telling when the state of a run may have changed, without a Prefect server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import State, StateType
from prefect.events import Event
from prefect.events.filters import EventFilter

from flows.support import state_changes as module
from flows.support.state_changes import StateChanges, state_changes

RUN, PARENT = uuid4(), uuid4()
NOW = datetime.now(UTC)
LATER = NOW + timedelta(seconds=1)


class Stream:
    """A server's event stream that refuses, delivers given events, or breaks."""

    def __init__(self) -> None:
        self.refuses = False
        self.asked = 0
        self.filters: list[EventFilter] = []
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    @asynccontextmanager
    async def subscribe(self, wanted: EventFilter) -> AsyncIterator[AsyncIterator[Event]]:
        self.asked += 1
        if self.refuses:
            raise ConnectionRefusedError
        self.filters.append(wanted)
        yield self._delivered()

    async def _delivered(self) -> AsyncIterator[Event]:
        while event := await self._events.get():
            yield event
        raise ConnectionResetError

    def tell(self, occurred: datetime, run_id: UUID = RUN) -> None:
        resource = {"prefect.resource.id": f"prefect.flow-run.{run_id}"}
        event = Event(event="prefect.flow-run.Suspended", resource=resource, occurred=occurred)
        self._events.put_nowait(event)

    def end(self) -> None:
        self._events.put_nowait(None)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """No look comes by itself: a test that waits for one would never end."""
    monkeypatch.setattr(module, "_UNSUBSCRIBED_SECONDS", None)
    monkeypatch.setattr(module, "_SUBSCRIBED_SECONDS", None)
    monkeypatch.setattr(module, "_COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(module, "_pause", lambda failures: 0.0)
    return Stream()


def read(when: datetime) -> dict[UUID, State]:
    return {RUN: State(type=StateType.RUNNING, timestamp=when)}


async def is_idle(changes: StateChanges) -> bool:
    """Whether there is no reason to look once all is said."""
    waiting = asyncio.ensure_future(changes.next())
    for _ in range(20):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    return waiting.cancelled()


async def test_a_new_subscription_has_the_states_read_once(
    stream: Stream,
) -> None:
    async with state_changes([RUN, PARENT], stream.subscribe) as changes:
        await changes.next()
        changes.note(read(NOW))
        assert await is_idle(changes)
    (wanted,) = stream.filters
    assert wanted.resource
    assert set(wanted.resource.id or []) == {f"prefect.flow-run.{one}" for one in (RUN, PARENT)}


async def test_an_event_has_the_states_read_at_once(stream: Stream) -> None:
    async with state_changes([RUN], stream.subscribe) as changes:
        await changes.next()
        changes.note(read(NOW))
        stream.tell(LATER)
        await changes.next()
        changes.note(read(LATER))
        assert await is_idle(changes)


async def test_an_event_of_a_state_that_was_read_before_changes_nothing(stream: Stream) -> None:
    async with state_changes([RUN], stream.subscribe) as changes:
        await changes.next()
        changes.note(read(LATER))
        stream.tell(NOW)  # the stream begins with those of the last minute
        stream.tell(LATER)
        assert await is_idle(changes)


async def test_a_state_that_is_not_committed_yet_is_read_again(stream: Stream) -> None:
    async with state_changes([RUN], stream.subscribe) as changes:
        await changes.next()
        changes.note(read(NOW))
        stream.tell(LATER)
        for _ in range(3):
            await changes.next()
            changes.note(read(NOW))  # the server has not committed the announced state
        await changes.next()
        changes.note(read(LATER))
        assert await is_idle(changes)


async def test_the_wait_for_a_state_that_is_never_committed_ends(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMMIT_PATIENCE_SECONDS", 0.0)
    async with state_changes([RUN], stream.subscribe) as changes:
        await changes.next()
        changes.note(read(NOW))
        stream.tell(LATER)
        await changes.next()
        changes.note(read(NOW))
        assert await is_idle(changes)


async def test_a_lost_stream_has_the_states_read_and_is_subscribed_to_again(
    stream: Stream,
) -> None:
    async with state_changes([RUN], stream.subscribe) as changes:
        await changes.next()
        stream.refuses = True
        stream.end()
        await changes.next()  # it ended
        assert await is_idle(changes)
        stream.refuses = False
        await changes.next()  # it is there again
        stream.tell(LATER)
        await changes.next()


@pytest.mark.parametrize("refuses", [True, False])
async def test_states_are_polled_whatever_the_stream_says(
    stream: Stream, refuses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = "_UNSUBSCRIBED_SECONDS" if refuses else "_SUBSCRIBED_SECONDS"
    monkeypatch.setattr(module, seconds, 0.001)
    stream.refuses = refuses
    async with state_changes([RUN], stream.subscribe) as changes:
        for _ in range(5):
            await changes.next()
    assert stream.asked


def test_pauses_between_subscriptions_grow_to_a_minute() -> None:
    for failures in range(1, 40):
        longest = min(60.0, 2.0**failures)
        assert longest / 2 <= module._pause(failures) <= longest
