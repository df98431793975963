"""The events that concern a run, and when its state may have changed, without a Prefect server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from prefect.client.schemas.objects import State, StateType
from prefect.events import Event
from prefect.events.filters import EventAnyResourceFilter, EventFilter

from flows.support import server_events as stream_module
from flows.support import state_changes as module
from flows.support.server_events import server_events
from flows.support.state_changes import StateChanges, state_changes
from tests.eventually import eventually_async

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
        """A run is suspended."""
        kind = {"prefect.state-type": "PAUSED"}
        self.tell_of(f"prefect.flow-run.{run_id}", "prefect.flow-run.Suspended", occurred, kind)

    def tell_of(
        self, resource: str, event: str, occurred: datetime, labels: dict[str, str] | None = None
    ) -> None:
        about = {"prefect.resource.id": resource, **(labels or {})}
        self._events.put_nowait(Event(event=event, resource=about, occurred=occurred))

    def end(self) -> None:
        self._events.put_nowait(None)


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> Stream:
    """No look comes by itself: a test that waits for one would never end."""
    monkeypatch.setattr(module, "_UNSUBSCRIBED_SECONDS", None)
    monkeypatch.setattr(module, "_COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(stream_module, "_pause", lambda failures: 0.0)
    return Stream()


def read(when: datetime) -> dict[UUID, State]:
    return {RUN: State(type=StateType.RUNNING, timestamp=when)}


@asynccontextmanager
async def changes_of(stream: Stream, *run_ids: UUID) -> AsyncIterator[StateChanges]:
    async with server_events(*run_ids, subscribe=stream.subscribe) as events:
        with state_changes(run_ids, events) as changes:
            yield changes


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
    async with changes_of(stream, RUN, PARENT) as changes:
        await changes.next()
        changes.note(read(NOW))
        assert await is_idle(changes)
    (wanted,) = stream.filters
    runs = {f"prefect.flow-run.{one}" for one in (RUN, PARENT)}
    assert wanted.resource
    assert runs < set(wanted.resource.id_prefix or [])


async def test_events_of_a_deployments_runs_are_asked_for(stream: Stream) -> None:
    deployment = uuid4()
    subscribe = stream.subscribe
    async with server_events(RUN, deployment_ids=[deployment], subscribe=subscribe) as events:
        await eventually_async(lambda: events.is_subscribed)
    (wanted,) = stream.filters
    assert isinstance(wanted.any_resource, EventAnyResourceFilter)
    prefixes = set(wanted.any_resource.id_prefix or [])
    assert {f"prefect.flow-run.{RUN}", f"prefect.deployment.{deployment}"} < prefixes


async def test_an_event_that_a_listener_does_not_understand_is_left_out(stream: Stream) -> None:
    def hear(event: Event | None) -> None:
        if event:
            raise KeyError("limit")

    heard: list[Event | None] = []
    async with server_events(RUN, subscribe=stream.subscribe) as events:
        events.listeners += [hear, heard.append]
        stream.tell(NOW)
        stream.tell(LATER)
        await eventually_async(lambda: len(heard) == 3)
        assert events.is_subscribed
    assert stream.asked == 1


async def test_an_event_has_the_states_read_at_once(stream: Stream) -> None:
    async with changes_of(stream, RUN) as changes:
        await changes.next()
        changes.note(read(NOW))
        stream.tell(LATER)
        await changes.next()
        changes.note(read(LATER))
        assert await is_idle(changes)


async def test_an_event_of_a_state_that_was_read_before_changes_nothing(stream: Stream) -> None:
    async with changes_of(stream, RUN) as changes:
        await changes.next()
        changes.note(read(LATER))
        stream.tell(NOW)  # the stream begins with those of the last minute
        stream.tell(LATER)
        assert await is_idle(changes)


async def test_events_that_announce_no_state_of_the_runs_change_nothing(stream: Stream) -> None:
    """Prefect sends a heartbeat of each run every few seconds."""
    async with changes_of(stream, RUN) as changes:
        await changes.next()
        changes.note(read(NOW))
        stream.tell_of(f"prefect.flow-run.{RUN}", "prefect.flow-run.heartbeat", LATER)
        stream.tell_of("prefect.block-document.1", "prefect.block-document.updated", LATER)
        stream.tell(LATER, PARENT)
        assert await is_idle(changes)


async def test_every_listener_hears_what_happens_and_when_it_may_have_missed_something(
    stream: Stream,
) -> None:
    heard: list[str] = []
    ended = asyncio.Event()

    def hear(event: Event | None) -> None:
        heard.append(event.event if event else "look")
        if len(heard) == 4:
            ended.set()

    async with server_events(RUN, subscribe=stream.subscribe) as events:
        events.listeners.append(hear)
        stream.tell_of("prefect.block-document.1", "prefect.block-document.updated", NOW)
        stream.end()
        await ended.wait()
    assert heard[:4] == ["look", "prefect.block-document.updated", "look", "look"]
    assert not events.is_subscribed


async def test_a_state_that_is_not_committed_yet_is_read_again(stream: Stream) -> None:
    async with changes_of(stream, RUN) as changes:
        await changes.next()
        changes.note(read(NOW))
        stream.tell(LATER)
        for _ in range(3):
            await changes.next()
            changes.note(read(NOW))  # the server has not committed the announced state
        await changes.next()
        changes.note(read(LATER))
        assert await is_idle(changes)


async def test_of_events_out_of_order_the_latest_state_is_waited_for(stream: Stream) -> None:
    """A Cancel right after a Suspend."""
    async with changes_of(stream, RUN) as changes:
        await changes.next()
        changes.note(read(NOW))
        stream.tell(LATER + timedelta(seconds=1))
        stream.tell(LATER)
        await is_idle(changes)  # both were heard
        changes.note(read(LATER))
        await changes.next()
        changes.note(read(LATER + timedelta(seconds=1)))
        assert await is_idle(changes)


async def test_states_that_could_not_be_read_are_read_again_soon(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream is there again, but the server does not answer yet."""
    monkeypatch.setattr(module, "_UNSUBSCRIBED_SECONDS", 0.0)
    async with changes_of(stream, RUN) as changes:
        while not changes._events.is_subscribed:
            await changes.next()
        changes.note(read(NOW))
        changes.failed()
        await changes.next()
        changes.note(read(NOW))
        assert await is_idle(changes)


async def test_the_wait_for_a_state_that_is_never_committed_ends(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COMMIT_PATIENCE_SECONDS", 0.0)
    async with changes_of(stream, RUN) as changes:
        await changes.next()
        changes.note(read(NOW))
        stream.tell(LATER)
        await changes.next()
        changes.note(read(NOW))
        assert await is_idle(changes)


async def test_a_lost_stream_has_the_states_read_and_is_subscribed_to_again(
    stream: Stream,
) -> None:
    async with changes_of(stream, RUN) as changes:
        await changes.next()
        stream.refuses = True
        stream.end()
        await changes.next()  # it ended
        assert await is_idle(changes)
        stream.refuses = False
        await changes.next()  # it is there again
        stream.tell(LATER)
        await changes.next()


async def test_states_are_polled_without_a_stream(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_UNSUBSCRIBED_SECONDS", 0.001)
    stream.refuses = True
    async with changes_of(stream, RUN) as changes:
        for _ in range(5):
            await changes.next()
    assert stream.asked


async def test_a_silent_stream_that_delivers_its_own_event_stays(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "_SILENT_SECONDS", 0.001)
    emitted: list[str] = []

    def emit(event: str, resource: dict[str, str]) -> None:
        emitted.append(event)
        stream.tell_of(resource["prefect.resource.id"], event, NOW)

    heard: list[Event | None] = []
    async with server_events(RUN, subscribe=stream.subscribe, emit=emit) as events:
        events.listeners.append(heard.append)
        await eventually_async(lambda: len(emitted) >= 3)
        assert heard == [None]  # the subscription has begun
    assert stream.asked == 1
    (wanted,) = stream.filters
    assert wanted.event
    assert wanted.event.prefix
    assert stream_module.ECHO in wanted.event.prefix


async def test_a_stream_that_does_not_deliver_its_own_event_is_lost(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "_SILENT_SECONDS", 0.001)
    monkeypatch.setattr(stream_module, "_ECHO_SECONDS", 0.001)
    heard: list[Event | None] = []
    async with server_events(RUN, subscribe=stream.subscribe, emit=lambda *_: None) as events:
        events.listeners.append(heard.append)
        await eventually_async(lambda: stream.asked >= 3)
    assert heard[:4] == 4 * [None]  # begun and lost, twice


def test_pauses_between_subscriptions_grow_to_a_minute() -> None:
    for failures in range(1, 40):
        longest = min(60.0, 2.0**failures)
        assert longest / 2 <= stream_module._pause(failures) <= longest
