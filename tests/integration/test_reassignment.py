"""Moving the recipients of a connection that is down."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsluice.core.moves import Move, MoveReason, placed
from mailsluice.core.status import RecipientStatus
from mailsluice.store import (
    Campaigns,
    Database,
    Launches,
    Outbox,
    Settled,
    reassignment,
)
from mailsluice.store.fates import Fates
from mailsluice.store.reassignment import reassign
from mailsluice.store.schema import moves, recipients
from tests.integration.campaign_fixtures import Sender, campaign, people
from tests.thorough import examples


@pytest.fixture
def outbox(database: Database) -> Outbox:
    """Ten recipients of `down`, one of `up`."""
    campaigns = Campaigns(database)
    record = campaigns.register("spring", {})
    emails = [f"user{i}@example.com" for i in range(11)]
    chunk = pd.DataFrame({"email": emails, "connection": ["down"] * 10 + ["up"], "variables": "{}"})
    Launches(database).store_audience(record.id, [chunk], [])
    return Outbox(database, record.id)


def connections(database: Database) -> Counter[tuple[str, str | None]]:
    with database.read() as connection:
        query = sa.select(recipients.c.connection, recipients.c.reassigned_from)
        return Counter((row[0], row[1]) for row in connection.execute(query))


def test_recipients_move_in_exact_proportion_and_keep_their_first_connection(
    database: Database, outbox: Outbox
) -> None:
    shares = {"up": Decimal("0.75"), "other": Decimal("0.25")}
    assert reassign(database, 1, "down", shares) == {"up": 8, "other": 2}
    assert connections(database) == {("up", None): 1, ("up", "down"): 8, ("other", "down"): 2}


def test_attempted_recipients_stay_on_their_connection(database: Database, outbox: Outbox) -> None:
    with database.write() as transaction:
        first, second, _third = outbox.claim(transaction, "down", 3)
        deferred = RecipientStatus.DEFERRED
        outbox.settle(transaction, [Settled(first.id, deferred, 1, 450, "later", 60.0)])
        outbox.release(transaction, [second.id])  # claimed, but not attempted
    assert reassign(database, 1, "down", {"up": Decimal(1)}) == {"up": 8}
    down = Move("down", "up", MoveReason.DOWN, 8, 10)  # the two that stay keep their share
    assert Campaigns(database).moves(1) == [down]
    assert connections(database)["down", None] == 2  # the deferred one, and the one being sent


def test_a_continued_campaign_keeps_the_shares_of_its_launch(
    database: Database, tmp_path: Path
) -> None:
    """On the 14th of 28 days a share from 10 to 50 percent is 30; on the 28th it still is."""
    growth = {"grows_to": 50, "grows_from": "2026-01-05", "grows_over_days": 28}
    document = campaign(
        tmp_path,
        people(1_000),
        strategy="percentage",
        routes=[
            {"connection": "new", "percent": 10, **growth},
            {"connection": "a", "percent": 60},
            {"connection": "b", "percent": 30},
        ],
    )
    launched = {"new": Decimal("0.3"), "a": Decimal("0.46666667"), "b": Decimal("0.23333333")}
    for day in (date(2026, 1, 19), date(2026, 2, 2)):
        run = Sender(database, tmp_path, day=day).prepare(document)
        try:
            assert run._rule_book.shares() == launched
            routes = run.campaigns.routes(run.id)
            assert [route.assigned for route in routes] == [300, 467, 233]
            assert [route.percent for route in routes] == ["30", "46.666667", "23.333333"]
        finally:
            asyncio.run(run.close())


def test_a_second_move_keeps_the_first_connection(database: Database, outbox: Outbox) -> None:
    reassign(database, 1, "down", {"up": Decimal(1)})
    reassign(database, 1, "up", {"third": Decimal(1)})
    assert connections(database) == {("third", "down"): 10, ("third", "up"): 1}


def launched(database: Database, counts: Mapping[str, int], name: str = "spring") -> int:
    """Launch a campaign with so many recipients on each connection; returns its id."""
    record = Campaigns(database).register(name, {})
    on = [connection for connection, number in counts.items() for _ in range(number)]
    emails = [f"user{i}@example.com" for i in range(len(on))]
    chunk = pd.DataFrame({"email": emails, "connection": on, "variables": "{}"})
    Launches(database).store_audience(record.id, [chunk], [])
    return record.id


def test_no_recipient_goes_back_to_a_connection_that_it_left(database: Database) -> None:
    campaign_id = launched(database, {"a": 6, "b": 4})
    lent = MoveReason.HELD
    assert reassign(database, campaign_id, "a", {"b": Decimal(1)}, reason=lent) == {"b": 6}
    half = Decimal("0.5")
    moved = reassign(database, campaign_id, "b", {"a": half, "c": half})
    assert moved == {"a": 2, "c": 8}  # half of those that were never on a, and all the others
    with database.read() as reader:
        query = sa.select(recipients.c.connection, recipients.c.reassigned_from, sa.func.count())
        found = reader.execute(query.group_by(*query.selected_columns[:2])).all()
    assert {(row[0], row[1]): row[2] for row in found} == {
        ("a", "b"): 2,
        ("c", "b"): 2,
        ("c", "a"): 6,
    }
    # those that were never on a: two of the eight
    assert reassign(database, campaign_id, "c", {"a": half, "b": half}) == {"a": 2, "b": 0}


def test_no_recipient_that_moved_often_goes_back_to_a_connection_in_between(
    database: Database,
) -> None:
    campaign_id = launched(database, {"a": 6})
    for origin, target in ("ab", "bc", "cd"):
        assert reassign(database, campaign_id, origin, {target: Decimal(1)}) == {target: 6}
    assert reassign(database, campaign_id, "d", {"b": Decimal(1)}) == {"b": 0}
    assert reassign(database, campaign_id, "d", {"e": Decimal(1)}) == {"e": 6}


def test_the_last_recipients_move_where_only_some_are_to(database: Database) -> None:
    campaign_id = launched(database, {"a": 10})
    before = database.moment().timestamp()
    assert reassign(database, campaign_id, "a", {"b": Decimal(1)}, most=3) == {"b": 3}
    with database.read() as reader:
        query = sa.select(recipients.c.connection).order_by(recipients.c.id)
        assert list(reader.execute(query).scalars()) == ["a"] * 7 + ["b"] * 3
        is_moved = moves.c.id == recipients.c.move_id
        dated = sa.select(moves.c.origin, moves.c.target, moves.c.at).join(recipients, is_moved)
        rows = reader.execute(dated).all()
    assert [(origin, target) for origin, target, _ in rows] == [("a", "b")] * 3
    assert all(before - 1 <= at <= database.moment().timestamp() + 1 for *_, at in rows)
    (fates,) = Fates(database, campaign_id).recipients()
    last = [(fate.moved_from, fate.move_reason, fate.moved_at is not None) for fate in fates]
    assert last == [(None, None, False)] * 7 + [("a", "down", True)] * 3


def test_claims_between_the_parts_of_a_move_are_neither_moved_nor_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reassignment, "_TRANSACTION_ROWS", 4)
    campaign_id = launched(database, {"a": 10})
    outbox = Outbox(database, campaign_id)
    claimed: list[int] = []

    def claim_one(_lowest: int, _moved: Mapping[str, int]) -> None:
        with database.write() as transaction:
            claimed.extend(row.id for row in outbox.claim(transaction, "a", 1))

    half = Decimal("0.5")
    moved = reassign(database, campaign_id, "a", {"b": half, "c": half}, on_moved=claim_one)
    assert len(claimed) == 2  # after the first part, and after the second; none is left then
    assert sum(moved.values()) == 8
    recorded = Campaigns(database).moves(campaign_id)
    assert {move.target: move.recipients for move in recorded} == moved
    assert [move.of for move in recorded] == [10, 10 - recorded[0].recipients]


def test_a_move_ends_with_its_run_and_the_next_one_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reassignment, "_TRANSACTION_ROWS", 4)
    campaign_id = launched(database, {"a": 10})
    stops = iter([True, False])
    taking = {"b": Decimal(1)}
    first = reassign(database, campaign_id, "a", taking, goes_on=lambda: next(stops))
    assert first == {"b": 4}
    assert reassign(database, campaign_id, "a", taking) == {"b": 6}
    recorded = Campaigns(database).moves(campaign_id)
    assert [(move.recipients, move.of) for move in recorded] == [(4, 10), (6, 6)]


def test_a_claim_under_way_keeps_its_recipients_from_a_move(database: Database) -> None:
    """On PostgreSQL the move waits for the claim's row; on SQLite for the whole transaction."""
    campaign_id = launched(database, {"a": 10})
    moved: dict[str, int] = {}

    def move() -> None:
        moved.update(reassign(database, campaign_id, "a", {"b": Decimal(1)}))

    moving = threading.Thread(target=move)
    with database.write() as transaction:
        claimed = Outbox(database, campaign_id).claim(transaction, "a", 4)
        moving.start()
        moving.join(0.2)  # it is in the middle, on machines that are fast enough
    moving.join()
    assert moved == {"b": 6}
    with database.read() as reader:
        on_a = sa.select(recipients.c.id).where(recipients.c.connection == "a")
        assert set(reader.execute(on_a).scalars()) == {row.id for row in claimed}


@settings(
    max_examples=examples(15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    counts=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 12), min_size=2, max_size=4),
    steps=st.lists(
        st.tuples(st.sampled_from(["claim", "send", "release", "move"]), st.integers(0, 3)),
        max_size=12,
    ),
    rows=st.integers(1, 5),
)
def test_moves_and_claims_in_any_order_lose_and_double_nobody(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    counts: dict[str, int],
    steps: list[tuple[str, int]],
    rows: int,
) -> None:
    """Each connection has what was assigned to it, less what left it, plus what came to it."""
    monkeypatch.setattr(reassignment, "_TRANSACTION_ROWS", rows)
    with database.read() as reader:
        number = reader.execute(sa.text("SELECT count(*) FROM campaigns")).scalar_one()
    campaign_id = launched(database, counts, f"campaign {number}")
    mine = sa.select(recipients).where(recipients.c.campaign_id == campaign_id)
    outbox = Outbox(database, campaign_id)
    held: dict[int, str] = {}
    names = sorted(counts)
    for step, chosen in steps:
        name = names[chosen % len(names)]
        if step == "move":
            reassign(
                database, campaign_id, name, {other: Decimal(1) for other in set(names) - {name}}
            )
            continue
        with database.write() as transaction:
            if step == "claim":
                held |= {row.id: name for row in outbox.claim(transaction, name, 3)}
            elif step == "send":
                sent = [Settled(one, RecipientStatus.SENT, 1) for one in held]
                outbox.settle(transaction, sent)
                held.clear()
            else:
                outbox.release(transaction, held)
                held.clear()
        with database.read() as reader:
            kept = {row.id: row.connection for row in reader.execute(mine)}
        assert {one: kept[one] for one in held} == held
    with database.read() as reader:
        found = Counter(row.connection for row in reader.execute(mine))
    recorded = Campaigns(database).moves(campaign_id)
    assert found == Counter(placed(counts, recorded))
    assert all(0 < move.recipients <= move.of for move in recorded)
