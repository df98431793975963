"""Bounces are recorded once, and suppress addresses, on both databases."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.core.status import RecipientStatus
from mailsluice.store import Bounces, Campaigns, Database, Recorded
from mailsluice.store.campaign_tables import tables_of
from mailsluice.store.schema import bounces, suppressions

HARD, SOFT, COMPLAINT = BounceKind
ANN = "ann@example.com"


def report(key: str, kind: BounceKind = HARD, email: str = ANN, **fields: Any) -> Bounce:
    """Return a report; if its key is a number, that is its moment as well."""
    at = float(key) if key.isdigit() else 0.0
    return Bounce(key, email, kind, "", "no", "a mailbox", at, **fields)


def listed(database: Database) -> dict[str, str]:
    """Return the reasons by address."""
    with database.read() as connection:
        rows = connection.execute(sa.select(suppressions.c.email, suppressions.c.reason))
        return {row.email: row.reason for row in rows}


@pytest.fixture
def record(database: Database) -> Any:
    return Bounces(database).record


@pytest.fixture
def campaign_ids(database: Database) -> list[int]:
    campaigns = Campaigns(database)
    return [campaigns.register(f"campaign {i}", {}).id for i in range(8)]


def deliver(database: Database, campaign_id: int, at: float, email: str = ANN) -> None:
    with database.write() as transaction:
        row = {"campaign_id": campaign_id, "email": email, "connection": "a", "variables": "{}"}
        values = {**row, "status": RecipientStatus.SENT, "settled_at": at}
        recipients = tables_of(database, campaign_id).recipients
        transaction.execute(sa.insert(recipients).values(values))


def test_a_hard_bounce_and_a_complaint_suppress_at_once(database: Database, record: Any) -> None:
    bob = "bob@example.com"
    assert record([report("a"), report("b", COMPLAINT, bob)]) == Recorded(new=2, suppressed=2)
    assert listed(database) == {ANN: "bounced", bob: "complained"}


def test_a_report_counts_once_even_with_other_content(database: Database, record: Any) -> None:
    record([report("a", SOFT), report("a", SOFT)])
    assert record([report("a", SOFT)]) == Recorded(new=0, suppressed=0)
    with database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(bounces)).scalar() == 1


def test_a_suppressed_address_keeps_its_first_reason(database: Database, record: Any) -> None:
    record([report("a", COMPLAINT)])
    assert record([report("b", HARD)]) == Recorded(new=1, suppressed=0)
    assert listed(database) == {ANN: "complained"}


def test_recording_no_reports_does_nothing(record: Any) -> None:
    assert record([]) == Recorded(0, 0)


def test_the_fifth_consecutive_soft_bounce_suppresses(
    database: Database, record: Any, campaign_ids: list[int]
) -> None:
    for i, campaign_id in enumerate(campaign_ids[:4]):
        assert record([report(str(i), SOFT, campaign_id=campaign_id)]).suppressed == 0
    assert record([report("9", SOFT, campaign_id=campaign_ids[4])]) == Recorded(1, 1)
    assert listed(database) == {ANN: "bounced"}


def test_several_reports_about_a_message_count_once(
    database: Database, record: Any, campaign_ids: list[int]
) -> None:
    record([report(str(i), SOFT, campaign_id=campaign_ids[0]) for i in range(9)])
    assert listed(database) == {}


def test_a_delivered_message_ends_the_row(
    database: Database, record: Any, campaign_ids: list[int]
) -> None:
    deliver(database, campaign_ids[6], at=2.5)
    record([report(str(i), SOFT, campaign_id=one) for i, one in enumerate(campaign_ids[:5])])
    assert listed(database) == {}
    late = report("35", SOFT, campaign_id=campaign_ids[6])  # it had not arrived after all
    assert record([late]) == Recorded(1, 1)


def test_a_delivery_before_the_row_does_not_end_it(
    database: Database, record: Any, campaign_ids: list[int]
) -> None:
    deliver(database, campaign_ids[6], at=0.5)
    record([report(str(i), SOFT, campaign_id=one) for i, one in enumerate(campaign_ids[:6])])
    assert listed(database) == {ANN: "bounced"}
