"""Deliveries of accepted messages, as providers report them: each event counts once, in any order.

One transaction records a batch: the events that are new, what they mean for the delivery of each
recipient, the bounces, and the suppressions; and it settles recipients whose reply was lost. So a
batch that is sent again, because its answer was lost or a process died, changes nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.bounces.matching import SentTo
from mailsluice.core.folding import folded
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import SuppressionReason
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.events.merging import RANKS, Delivery, delivery_of, merged
from mailsluice.store.bounces import Bounces
from mailsluice.store.campaign_tables import CampaignTables, tables_of
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.reported import settle_reported
from mailsluice.store.schema import deliveries, events
from mailsluice.store.summaries import note_changes, note_later_changes

GONE = "about a message that is no longer stored"
"""The event has a token, and its recipient is no longer in the database."""
_LONGEST_ADDRESS = 320
"""Characters of an address (RFC 5321 section 4.5.3.1): 64, one and 255."""


@dataclass(frozen=True, slots=True)
class Received:
    """An event, and the recipient that it is about."""

    event: ProviderEvent
    to: SentTo | None
    """None if no recipient was found."""
    matched_by: str
    """What led to the recipient, or why none was found."""


@dataclass
class Recorded:
    """The result of recording events; all counts are of events that were not known before.

    An event that was known before, but whose recipient has been found only now, counts as new.
    """

    known: int = 0
    """Events that were known before, and changed nothing."""
    states: Counter[DeliveryState] = field(default_factory=Counter)
    """Events that were matched, by state."""
    matched_by: Counter[str] = field(default_factory=Counter)
    unmatched: Counter[str] = field(default_factory=Counter)
    """Events about no known message, by reason."""
    suppressed: int = 0
    """Addresses that were added to the suppression list."""
    settled: int = 0
    """Recipients whose reply was lost, and that are known to be sent to now."""
    campaign_ids: set[int] = field(default_factory=set)
    """The campaigns whose deliveries changed."""

    def __iadd__(self, more: Recorded) -> Recorded:
        self.known += more.known
        self.states += more.states
        self.matched_by += more.matched_by
        self.unmatched += more.unmatched
        self.suppressed += more.suppressed
        self.settled += more.settled
        self.campaign_ids |= more.campaign_ids
        return self


class Deliveries:
    """The tables `deliveries` and `events`."""

    def __init__(
        self,
        database: Database,
        on_new: Callable[[str, Sequence[Received]], None] | None = None,
    ) -> None:
        """`on_new` is called after each commit, with the connection and the events that were new.

        It must be quick, and raise nothing.
        """
        self._database = database
        self._on_new = on_new

    def record(
        self, connection: str, received: Sequence[Received], wishes: Sequence[Suppression] = ()
    ) -> Recorded:
        """Record events about messages of a connection, as its provider has reported them.

        `wishes` are suppressed as well, even if their events were known before: a person may ask
        again after the address was removed from the list.

        Soft bounces are judged after the transaction: see `Bounces.suppress_soft`.
        """
        by_key = {item.event.key: item for item in received}
        bounces = Bounces(self._database)
        ids = _by_campaign(received)
        tables = {campaign_id: tables_of(self._database, campaign_id) for campaign_id in ids}
        with self._database.write() as transaction:
            new_keys = self._insert_events(transaction, connection, list(by_key.values()))
            new = [by_key[key] for key in sorted(new_keys)]
            recorded = _counted(new, known=len(received) - len(new))
            matched = [(item.event, item.to) for item in new if item.to]
            self._merge(transaction, matched)
            recorded.settled += self._settle(transaction, new, tables)
            reports = list(_reports(connection, matched))
            given = [*_wishes(connection, new), *wishes]
            recorded.suppressed += bounces.write(transaction, reports, given).suppressed
            note_later_changes(self._database, transaction, recorded.campaign_ids)
            if recorded.settled:
                note_changes(self._database, transaction, recorded.campaign_ids)
        if self._on_new:
            self._on_new(connection, new)
        soft = {report.email for report in reports if report.kind is BounceKind.SOFT}
        recorded.suppressed += bounces.suppress_soft(soft)
        return recorded

    def known(self, connection: str, keys: Iterable[str]) -> dict[str, bool]:
        """Return those of these keys whose events were recorded before, and which matched."""
        given = rows_in(self._database, {"key": events.c.key.type})
        # As a join, SQLite would look at all given keys for each event.
        query = sa.select(events.c.key, events.c.recipient_id.is_not(None)).where(
            events.c.connection == connection, events.c.key.in_(sa.select(given.c.key))
        )
        with self._database.read() as reader:
            rows = reader.execute(query, as_parameter((key,) for key in keys))
            return {key: bool(is_matched) for key, is_matched in rows}

    def forget(self, before: float, limit: int = 10_000) -> int:
        """Delete events received before this moment, up to a limit. Returns how many.

        Deliveries stay. An event that its provider repeats after that counts again, which changes
        no delivery.
        """
        key = (events.c.connection, events.c.key)
        old = sa.select(*key).where(events.c.received_at < before).limit(limit)
        with self._database.write() as transaction:
            return transaction.execute(sa.delete(events).where(sa.tuple_(*key).in_(old))).rowcount

    def _insert_events(
        self, transaction: sa.Connection, connection: str, received: Sequence[Received]
    ) -> set[str]:
        """Insert the events that are new, and return their keys.

        An event that matched nobody before is new once its recipient is found: a file is imported
        with matching by address, and a message may be known only after the provider's first event.
        """
        if not received:
            return set()
        given = rows_in(self._database, _EVENT_TYPES)
        rows = sa.select(
            sa.literal(connection), *given.c, self._database.now.label("received_at")
        ).where(sa.true())
        insert = self._database.insert(events).from_select(
            ["connection", *given.c.keys(), "received_at"], rows
        )
        statement = insert.on_conflict_do_update(
            index_elements=["connection", "key"],
            set_={name: insert.excluded[name] for name in (*_EVENT_TYPES, "received_at")},
            where=sa.and_(
                events.c.recipient_id.is_(None), insert.excluded.recipient_id.is_not(None)
            ),
        ).returning(events.c.key)
        # All transactions insert in the same order, so that no two wait for each other.
        ordered = sorted(received, key=lambda item: item.event.key)
        return set(transaction.execute(statement, as_parameter(map(_event_row, ordered))).scalars())

    def _merge(
        self, transaction: sa.Connection, matched: Sequence[tuple[ProviderEvent, SentTo]]
    ) -> None:
        """Merge into `deliveries` as `mailsluice.events.merging.merged` does."""
        if not matched:
            return
        given = rows_in(self._database, _DELIVERY_TYPES)
        insert = self._database.insert(deliveries).from_select(
            given.c.keys(), sa.select(given).where(sa.true())
        )
        stored, new = deliveries.c, insert.excluded
        is_greater = sa.tuple_(*(self._plain(new[name]) for name in _ORDER)) > sa.tuple_(
            *(self._plain(stored[name]) for name in _ORDER)
        )
        values: dict[str, Any] = {
            name: sa.case((is_greater, new[name]), else_=stored[name]) for name in _ORDER
        }
        values |= {name: _earlier(stored[name], new[name]) for name in _TIMES.values()}
        values["mailbox_provider"] = sa.case(
            (
                self._plain(new.mailbox_provider) > self._plain(stored.mailbox_provider),
                new.mailbox_provider,
            ),
            else_=stored.mailbox_provider,
        )
        statement = insert.on_conflict_do_update(index_elements=["recipient_id"], set_=values)
        transaction.execute(statement, as_parameter(_delivery_rows(matched)))

    def _settle(
        self,
        transaction: sa.Connection,
        new: Sequence[Received],
        tables: Mapping[int, CampaignTables],
    ) -> int:
        """Settle recipients whose reply was lost. Returns how many."""
        return sum(
            len(settle_reported(self._database, transaction, tables[campaign_id], ids))
            for campaign_id, ids in sorted(_by_campaign(new).items())
        )

    def _plain(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Compare texts by code point, as Python and SQLite do, whatever the locale."""
        is_text = isinstance(column.type, sa.Text) and not self._database.is_sqlite
        return sa.collate(column, "C") if is_text else column


def _by_campaign(received: Iterable[Received]) -> dict[int, set[int]]:
    """Return the ids of the recipients, by campaign."""
    ids: dict[int, set[int]] = defaultdict(set)
    for item in received:
        if item.to:
            ids[item.to.campaign_id].add(item.to.recipient_id)
    return ids


def _counted(new: Sequence[Received], known: int) -> Recorded:
    recorded = Recorded(known)
    for item in new:
        if item.to:
            recorded.states[item.event.state] += 1
            recorded.matched_by[item.matched_by] += 1
            recorded.campaign_ids.add(item.to.campaign_id)
        else:
            recorded.unmatched[item.matched_by] += 1
    return recorded


_EVENT_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    name: events.c[name].type for name in ("key", "state", "at", "matched_by", "recipient_id")
}


def _event_row(received: Received) -> tuple[Any, ...]:
    event, to = received.event, received.to
    return event.key, event.state, event.at, received.matched_by, to.recipient_id if to else None


_ORDER = ("rank", "at", "state", "failure", "reply", "status")
"""The columns of a delivery's place in the total order; see `Delivery.order`."""
_TIMES = {state: f"{state}_at" for state in RANKS}
_COLUMNS = (
    "recipient_id", "campaign_id", "connection", *_ORDER, "mailbox_provider", *_TIMES.values()
)  # fmt: skip
_DELIVERY_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    name: deliveries.c[name].type for name in _COLUMNS
}


def _delivery_rows(matched: Sequence[tuple[ProviderEvent, SentTo]]) -> Iterator[tuple[Any, ...]]:
    """Yield a row for each recipient, in the order of their ids."""
    ordered = sorted(matched, key=lambda pair: pair[1].recipient_id)
    for _, pairs in groupby(ordered, key=lambda pair: pair[1].recipient_id):
        known = list(pairs)
        to = known[0][1]
        delivery: Delivery = reduce(merged, (delivery_of(event) for event, _ in known))
        times = (delivery.first_at.get(state) for state in _TIMES)
        yield (
            to.recipient_id,
            to.campaign_id,
            to.connection,
            *delivery.order,
            delivery.mailbox_provider,
            *times,
        )


def _earlier(
    stored: sa.ColumnElement[float | None], new: sa.ColumnElement[float | None]
) -> sa.ColumnElement[float | None]:
    return sa.case((stored.is_(None), new), (new < stored, new), else_=stored)


_KINDS = {FailureKind.HARD: BounceKind.HARD, FailureKind.SOFT: BounceKind.SOFT}


def _reports(connection: str, matched: Iterable[tuple[ProviderEvent, SentTo]]) -> Iterator[Bounce]:
    """Yield the bounces and complaints among events; a block says nothing about the mailbox."""
    for event, to in matched:
        is_complaint = event.state is DeliveryState.COMPLAINED
        kind = BounceKind.COMPLAINT if is_complaint else _KINDS.get(event.failure)  # type: ignore[arg-type]
        if kind is None:
            continue
        yield Bounce(
            key=f"event {connection} {event.key}",
            email=to.email,
            kind=kind,
            status=event.status,
            detail=event.reply,
            source=f"events of {connection}",
            at=event.at,
            connection=to.connection,
            campaign_id=to.campaign_id,
            recipient_id=to.recipient_id,
        )


def _is_address(text: str) -> bool:
    return "@" in text and len(folded(text)) <= _LONGEST_ADDRESS


def _wishes(connection: str, new: Iterable[Received]) -> Iterator[Suppression]:
    """Yield the wishes among events; one about an archived message counts for the event's address.

    The provider says whose wish it is, and the token, that the message was one of ours.
    """
    source = f"events of {connection}"
    for item in new:
        event = item.event
        if item.to and event.wish:
            yield Suppression(item.to.email, event.wish, source)
        elif item.matched_by == GONE and _is_address(event.email):
            is_complaint = event.state is DeliveryState.COMPLAINED
            wish = SuppressionReason.COMPLAINED if is_complaint else event.wish
            if wish:
                yield Suppression(event.email, wish, source)
