"""Fetch events from the APIs of providers, and record them as those that are pushed.

After each page its events are committed, then the cursor. A killed run so fetches one page again at
most, whose events are known. A connection that cannot be asked hinders no other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailsluice.campaign.identity import Provider
from mailsluice.core.errors import EventsApiError
from mailsluice.events.batch import Batch
from mailsluice.events.event import ProviderEvent
from mailsluice.events.fields import UnreadableEventError
from mailsluice.events.pulled.account import EventAccount
from mailsluice.events.pulled.feeds import FEEDS
from mailsluice.events.pulled.page import Details, Feed, Page, PageOf
from mailsluice.events.pulled.windows import Cursor, Window, gap, opened
from mailsluice.metrics.event_meter import events_metered
from mailsluice.operations.events.api import EventsClient, Pause, RefusedError
from mailsluice.operations.events.collected import CollectedEvents, ConnectionEvents
from mailsluice.operations.events.matching import match
from mailsluice.operations.events.queue import collect_queue
from mailsluice.store import Database
from mailsluice.store.deliveries import Deliveries
from mailsluice.store.event_cursors import EventCursors

_FIRST_SECONDS = 3_600.0
"""How far the first window of a connection reaches back that no campaign has used."""
_ADVICE = {
    401: "correct the API key",
    403: "give the API key the permission to read events",
    **dict.fromkeys((301, 302, 303, 307, 308), "correct the API URL"),
}
"""Advice for the operator about refusals; a provider may have its own."""
_PAGE_GONE = frozenset((400, 404, 410, 416, 422))
"""Answers to the request for a page that the provider no longer knows."""


class _IncompleteError(Exception):
    """The details of an event cannot be fetched; those of the events before it were."""

    def __init__(self, completed: list[ProviderEvent], trouble: Exception) -> None:
        self.completed, self.trouble = completed, trouble
        super().__init__(str(trouble))


class _ElsewhereError(Exception):
    """Another run fetches the events of this connection."""


def collect(
    accounts: Sequence[EventAccount], database: Database, *, most_pages: int, pause: Pause
) -> CollectedEvents:
    """Fetch the events of connections, one after the other.

    Args:
        accounts: The connections to ask about.
        database: The state database.
        most_pages: Pages of one connection; the next run goes on after them.
        pause: Waits, and says whether the run goes on; called with 0 before each page.
    """
    collected = CollectedEvents()
    with events_metered() as meter:
        deliveries = Deliveries(database, meter.see)
        for account in accounts:
            done = ConnectionEvents(account.connection, account.provider.value)
            collected.connections.append(done)
            try:
                _collect(account, database, deliveries, done, most_pages, pause)
            except _ElsewhereError:
                done.is_elsewhere = True
            except EventsApiError as error:
                done.trouble = str(error)
            except UnreadableEventError as error:
                done.trouble = f"the API's answer is not in the provider's format: {error}"
    return collected


def _collect(
    account: EventAccount,
    database: Database,
    deliveries: Deliveries,
    done: ConnectionEvents,
    most_pages: int,
    pause: Pause,
) -> None:
    def record(batch: Batch) -> None:
        name = account.connection
        done.pages += 1
        done.unused += batch.unused
        received = match(database, name, batch.events, have_tokens=True)
        done.recorded += deliveries.record(name, received)

    def goes_on() -> bool:
        return done.pages < most_pages and pause(0)

    if account.provider is Provider.SES:
        done.is_done = collect_queue(account.api, record, goes_on, pause)
        return
    feed = FEEDS[account.provider]
    with EventsClient(account.api.url or feed.url, pause) as client:
        walk = _Walk(account, feed, client, database, done)
        try:
            walk.run(record, goes_on)
        finally:  # also after Ctrl-C: the same command continues at once
            if not done.is_done:
                walk.release()


class _Walk:
    """Fetches the pages of one connection."""

    def __init__(
        self,
        account: EventAccount,
        feed: Feed,
        client: EventsClient,
        database: Database,
        done: ConnectionEvents,
    ) -> None:
        self._name, self._api, self._feed = account.connection, account.api, feed
        self._client, self._database, self._done = client, database, done
        self._cursors = EventCursors(database)
        self._url = account.api.url or feed.url
        source = " ".join(filter(None, (account.provider, self._url, account.api.domain)))
        self._stored = self._cursors.read(self._name, source)
        if self._stored.is_busy:
            raise _ElsewhereError

    def run(self, record: Callable[[Batch], None], goes_on: Callable[[], bool]) -> None:
        """Fetch the window that a former run left open, then the one up to now."""
        self._done.gap = gap(self._stored.cursor, self._feed.reach, self._now())
        is_left = self._stored.cursor.window is not None
        self._open(self._stored.cursor)
        while goes_on() and (window := self._stored.cursor.window):
            try:
                page = self._page(self._stored.cursor, window)
            except _IncompleteError as incomplete:  # what is known is not asked for again
                record(Batch(incomplete.completed))
                raise incomplete.trouble from None
            if page is None:
                self._open(self._stored.cursor.restarted())
                continue
            record(page.batch)
            self._save(self._stored.cursor.after(page.next))
            if self._stored.cursor.window is None and is_left:
                is_left = False
                self._open(self._stored.cursor)
        self._done.is_done = self._stored.cursor.window is None

    def release(self) -> None:
        """Leave a window that is still open to the next run."""
        self._cursors.release(self._name, self._stored)

    def _open(self, cursor: Cursor) -> None:
        now = self._now()
        first_at = self._cursors.first_launch(self._name)
        cursor = opened(cursor, self._feed.reach, now, first_at or now - _FIRST_SECONDS)
        self._done.window = self._done.window or cursor.window
        self._save(cursor)

    def _save(self, cursor: Cursor) -> None:
        saved = self._cursors.save(self._name, self._stored, cursor)
        if saved is None:
            raise _ElsewhereError
        self._stored = saved

    def _page(self, cursor: Cursor, window: Window) -> Page | None:
        """Fetch a page; None if the provider no longer knows it."""
        of = PageOf(self._api, window, cursor.page, self._url, self._now())
        try:
            body = self._client.ask(lambda: self._feed.request(of))
        except RefusedError as error:
            if cursor.page and error.status in _PAGE_GONE:
                return None
            raise self._refused(error) from None
        page = self._feed.read(body, of)
        if self._feed.details:
            page.batch.events = self._completed(page.batch.events, of, self._feed.details)
        if page.next is not None and page.next == cursor.page:
            raise UnreadableEventError("a page names itself as the next")
        return page

    def _completed(
        self, events: Sequence[ProviderEvent], of: PageOf, details: Details
    ) -> list[ProviderEvent]:
        """Ask about each event without a token that is not known yet. Raises _IncompleteError."""
        known = Deliveries(self._database).known(self._name, {event.key for event in events})
        completed: list[ProviderEvent] = []
        for event in events:
            if event.token or event.key in known or not event.provider_id:
                completed.append(event)
                continue
            try:
                completed.append(self._complete(event, of, details))
            except (EventsApiError, UnreadableEventError) as error:
                new = [event for event in completed if event.key not in known]
                raise _IncompleteError(new, error) from None
        return completed

    def _complete(self, event: ProviderEvent, of: PageOf, details: Details) -> ProviderEvent:
        try:
            body = self._client.ask(lambda: details.request(of, event))
        except RefusedError as error:
            if error.status in _PAGE_GONE:  # the event counts by what else it says
                return event
            raise self._refused(error) from None
        return details.read(body, event)

    def _refused(self, error: RefusedError) -> EventsApiError:
        advice = self._feed.advice.get(error.status) or _ADVICE.get(error.status)
        return EventsApiError(f"{error}: {advice}") if advice else error

    def _now(self) -> float:
        return self._database.moment().timestamp()
