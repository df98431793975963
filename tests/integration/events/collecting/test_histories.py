"""Whatever is late or killed, events end in the same rows as in one undisturbed run."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsluice.campaign.identity import Provider
from mailsluice.events.pulled.feeds import FEEDS
from mailsluice.events.pulled.page import ApiRequest
from mailsluice.operations.events import collecting
from mailsluice.store import Database
from mailsluice.store import event_cursors as event_cursor_store
from mailsluice.store.schema import deliveries, event_cursors, events
from tests.integration.events.collecting.conftest import (
    APIS,
    HOUR,
    Clock,
    Killed,
    Kills,
    collect,
    made,
    rows,
)
from tests.integration.events.sent_campaign import SENT_AT, SentCampaign
from tests.provider_apis.api import Asked, ProviderApi
from tests.thorough import examples


class InProcess:
    """In place of the client: asks the simulated API without a socket."""

    api: ProviderApi

    def __init__(self, *_: object) -> None:
        """Nothing to open."""

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def ask(self, make: Callable[[], ApiRequest]) -> bytes:
        request = make()
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = Asked("GET", request.path, request.params, headers, request.body or b"")
        answer = self.api.answer(asked)
        assert answer.status == 200, answer
        return answer.body


def clear(database: Database) -> None:
    with database.write() as transaction:
        for table in (deliveries, events, event_cursors):
            transaction.execute(sa.delete(table))


History = tuple[list[tuple[float, float]], list[tuple[float, int, int | None]]]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Times are in hours, delays in parts of the longest."""
    tenths = st.integers(0, 10).map(lambda number: number / 10)
    happened = st.tuples(st.integers(0, 40).map(lambda number: number / 10), tenths)
    steps = st.none() | st.integers(0, 20)
    runs = st.tuples(tenths, st.sampled_from((1, 2, 100)), steps)
    return draw(st.lists(happened, max_size=30)), draw(st.lists(runs, max_size=10))


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, provider: Provider, clock: Clock) -> ProviderApi:
    """The provider's API without a socket; killed runs are long ago."""
    monkeypatch.setattr(event_cursor_store, "BUSY_SECONDS", -1.0)
    monkeypatch.setattr(collecting, "EventsClient", InProcess)
    InProcess.api = APIS[provider](clock)
    return InProcess.api


def test_an_event_that_is_listed_late_is_fetched_by_a_later_run(
    in_process: ProviderApi, sqlite_database: Database, sent: SentCampaign, clock: Clock
) -> None:
    provider = in_process.provider
    longest = FEEDS[provider].reach.overlap_seconds
    in_process.store(clock.now - 1, made(provider, 0, clock.now - 1, sent), late=longest)
    for number in range(1, 4):  # as many as a page has
        at = clock.now + longest * 3 / 4
        in_process.store(at, made(provider, number, at, sent))
    counts = []
    for _ in range(3):
        (done,) = collect(sqlite_database, in_process.account()).connections
        counts.append(done.new)
        clock.now += longest / 2
    assert counts == [0, 0, 4]


def test_a_run_that_is_killed_at_any_step_is_continued_by_the_next(
    in_process: ProviderApi, sqlite_database: Database, sent: SentCampaign, clock: Clock
) -> None:
    clock.now += 5 * HOUR  # no later window reaches back to these events
    for number in range(7):
        at = SENT_AT + number
        in_process.store(at, made(in_process.provider, number, at, sent))
    collect(sqlite_database, in_process.account())
    undisturbed = [rows(sqlite_database, table) for table in (events, deliveries)]
    assert len(undisturbed[0]) == 7
    with pytest.MonkeyPatch.context() as patched:
        kills = Kills(patched)
        for step in itertools.count():
            clear(sqlite_database)
            kills.after(step)
            try:
                collect(sqlite_database, in_process.account())
            except Killed:
                kills.after(None)
                assert collect(sqlite_database, in_process.account()).connections[0].is_done
            else:
                assert step >= 14  # three pages and their cursors, before and after each
                break
            assert [rows(sqlite_database, table) for table in (events, deliveries)] == undisturbed


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(history=histories())
def test_late_events_kills_and_small_steps_end_in_the_same_rows_as_one_undisturbed_run(
    history: History,
    in_process: ProviderApi,
    sqlite_database: Database,
    sent: SentCampaign,
    clock: Clock,
) -> None:
    """The last run is after all events are listed."""
    happened, runs = history
    clear(sqlite_database)
    api, provider = in_process, in_process.provider
    api.stored.clear()
    longest = FEEDS[provider].reach.overlap_seconds
    for number, (at, late) in enumerate(happened):
        moment = SENT_AT + at * HOUR
        api.store(moment, made(provider, number, moment, sent), late=late * longest)
    with pytest.MonkeyPatch.context() as patched:
        kills = Kills(patched)
        clock.now = SENT_AT
        for pause, pages, steps in runs:
            clock.now += pause * HOUR
            kills.after(steps)
            try:
                collect(sqlite_database, api.account(), pages=pages)
            except Killed:
                continue
        kills.after(None)
        clock.now = max(clock.now, SENT_AT + 5 * HOUR) + longest
        done = collect(sqlite_database, api.account())
        assert done.connections[0].is_done, done.troubles()
        disturbed = [rows(sqlite_database, table) for table in (events, deliveries)]
        clear(sqlite_database)
        collect(sqlite_database, api.account())
    assert disturbed == [rows(sqlite_database, table) for table in (events, deliveries)]
    assert len(disturbed[0]) == len({repr(one.value) for one in api.stored})
