"""The list of campaigns, from what was counted before, on every database."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.bounces.matching import SentTo
from mailsluice.campaign import Campaign
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery import CampaignRun
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.reports.overview import CampaignRow, State, queries
from mailsluice.reports.overview.queries import overview
from mailsluice.store import Bounces, Campaigns, Database, Outbox, Summary
from mailsluice.store.archives import Archives
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.deliveries import Deliveries, Received
from tests.integration.outbox_fixtures import Store


def only(database: Database) -> CampaignRow:
    (row,) = overview(database).rows
    return row


def set_status(database: Database, campaign_id: int, number: int, status: str = "sent") -> None:
    """Give the first recipients a status, as a run would."""
    table = tables_of(database, campaign_id).recipients
    first = sa.select(table.c.id).where(table.c.campaign_id == campaign_id)
    chosen = first.order_by(table.c.id).limit(number)
    with database.write() as transaction:
        transaction.execute(sa.update(table).where(table.c.id.in_(chosen)).values(status=status))


def recipient(database: Database, campaign_id: int, number: int = 0) -> SentTo:
    table = tables_of(database, campaign_id).recipients
    query = sa.select(table.c.id, table.c.email, table.c.connection).where(
        table.c.campaign_id == campaign_id
    )
    with database.read() as connection:
        row = connection.execute(query.order_by(table.c.id)).all()[number]
    return SentTo(row.id, row.email, row.connection, campaign_id, "spring", None, "example.com")


def report_event(database: Database, to: SentTo, state: DeliveryState, failure: str = "") -> None:
    event = ProviderEvent(
        key=f"{to.recipient_id} {state}",
        state=state,
        at=1.0,
        failure=FailureKind(failure) if failure else None,
    )
    Deliveries(database).record("a", [Received(event, to, "token")])


def test_the_numbers_of_a_campaign_are_counted_once(
    database: Database, stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = stored(6)
    set_status(database, campaign._campaign_id, 4)
    row = only(database)
    assert (row.state, row.planned, row.accepted) == (State.WAITING, 6, 4)
    assert (row.delivered, row.bounced, row.complained) == (None, 0, 0)

    def count(_: Outbox) -> None:
        raise AssertionError("counted again, though nothing has changed")

    monkeypatch.setattr(Outbox, "counts", count)
    assert only(database) == row


def test_what_comes_later_is_counted_when_it_has_changed(database: Database, stored: Store) -> None:
    campaign_id = stored(6)._campaign_id
    set_status(database, campaign_id, 5)
    only(database)
    people = [recipient(database, campaign_id, number) for number in range(6)]
    for to in people[:2]:
        report_event(database, to, DeliveryState.DELIVERED)
    report_event(database, people[2], DeliveryState.BOUNCED, "hard")
    report_event(database, people[3], DeliveryState.COMPLAINED)
    row = only(database)
    assert (row.accepted, row.delivered, row.bounced, row.complained) == (5, 3, 1, 1)
    returned = [
        Bounce(f"mail {to.recipient_id}", to.email, BounceKind.HARD, "5.1.1", "", "mailbox", 2.0,
               "a", campaign_id, to.recipient_id)
        for to in people[2:]  # that of the third is known, the last one's mail was refused
    ]  # fmt: skip
    Bounces(database).record(returned[:1] + returned[2:])
    row = only(database)
    assert (row.delivered, row.bounced, row.complained) == (3, 2, 1)


def test_an_event_that_settles_a_recipient_is_seen(database: Database, stored: Store) -> None:
    campaign_id = stored(3)._campaign_id
    set_status(database, campaign_id, 3, "uncertain")
    assert only(database).accepted == 0
    report_event(database, recipient(database, campaign_id), DeliveryState.DELIVERED)
    assert only(database).accepted == 1


async def test_a_run_that_is_alive_tells_its_numbers_and_a_dead_one_is_counted(
    database: Database, stored: Store, tmp_path: Path
) -> None:
    campaign_id = stored(6)._campaign_id
    only(database)
    spring = Campaign.model_construct(name="spring")  # type: ignore[call-arg]
    run = CampaignRun(database, spring, None, owner="run", home=tmp_path)
    run.summary.sent_by("a-run")
    run.summary.progressed(2, 4.5, 1_796_040_000.0)
    set_status(database, campaign_id, 3)
    row = only(database)
    assert (row.state, row.accepted, row.per_second) == (State.SENDING, 2, 4.5)
    assert (row.expected_end, row.run_id, row.is_reported) == (1_796_040_000.0, "a-run", False)
    with database.write() as transaction:  # as if the process were gone for a minute
        transaction.execute(sa.text("UPDATE campaigns SET lease_until = 1"))
    row = only(database)
    assert (row.state, row.accepted, row.expected_end) == (State.INTERRUPTED, 3, None)
    run._lease.confirm()
    set_status(database, campaign_id, 6)
    run.report()
    run.summary.reported()
    row = only(database)
    assert (row.state, row.accepted, row.is_reported) == (State.COMPLETED, 6, True)
    assert row.ended_at is not None
    await run.close()


def test_a_count_that_was_overtaken_by_a_change_is_not_valid(
    database: Database, stored: Store
) -> None:
    campaign_id = stored(6)._campaign_id
    summary = Summary(database, campaign_id)
    before = summary.changes()
    summary.note_changes()  # while somebody counts
    summary.counted(0, before)
    set_status(database, campaign_id, 1)
    assert only(database).accepted == 1


def test_an_archived_campaign_keeps_its_numbers(database: Database, stored: Store) -> None:
    campaign_id = stored(2)._campaign_id
    set_status(database, campaign_id, 2)
    report_event(database, recipient(database, campaign_id), DeliveryState.DELIVERED)
    only(database)
    Campaigns(database).set_status(campaign_id, CampaignStatus.COMPLETED)
    Archives(database).add(campaign_id, "folder", "digest", {"a": {"sent": 1}, "b": {"sent": 1}})
    with database.write() as transaction:
        transaction.execute(sa.delete(tables_of(database, campaign_id).recipients))
    Summary(database, campaign_id).note_changes()
    row = only(database)
    assert (row.state, row.accepted, row.delivered) == (State.COMPLETED, 2, 1)


def test_the_latest_are_listed_and_all_that_are_open(
    database: Database, campaigns: Campaigns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "LATEST", 2)
    monkeypatch.setattr(queries, "MOST", 3)
    for number in range(6):
        record = campaigns.register(f"c{number}", {})
        if number != 1:
            campaigns.set_status(record.id, CampaignStatus.COMPLETED)
    listed = overview(database)
    assert [row.name for row in listed.rows] == ["c5", "c4", "c1"]
    assert listed.others == 3
    assert listed.summary() == "1 interrupted, 2 completed, 3 older ones not listed"


def test_one_list_counts_a_bounded_number_of_recipients(
    database: Database, stored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        stored(4, name)
    monkeypatch.setattr(queries, "MOST_COUNTED", 7)
    assert [row.accepted for row in overview(database).rows] == [0, None, None]
    assert [row.accepted for row in overview(database).rows] == [0, 0, None]
