"""Query plans: queries for due recipients repeat the condition of their partial index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from mailsluice.core.status import UNCLAIMED
from mailsluice.store import ClaimScope, Database, Outbox
from tests.integration.accounts_fixtures import store

Ask = Callable[[Outbox, sa.Connection], object]


@pytest.mark.parametrize(
    "ask",
    [
        lambda outbox, transaction: outbox.claim(transaction, "a", 10),
        lambda outbox, transaction: outbox.next_due_seconds(transaction, "a"),
        lambda outbox, transaction: outbox.next_due_seconds(transaction, "a", ClaimScope(1)),
    ],
    ids=["claim", "next due", "next due at a provider"],
)
def test_due_recipients_are_found_by_the_index(database: Database, ask: Ask) -> None:
    assert "ix_recipients_due" in plan(database, ask, "next_attempt_at")


@pytest.mark.parametrize(
    "scope", [ClaimScope(1), ClaimScope(without=frozenset({1, 2}))], ids=["one", "all but some"]
)
def test_recipients_of_providers_are_claimed_by_the_same_index(
    database: Database, scope: ClaimScope
) -> None:
    found = plan(
        database,
        lambda outbox, transaction: outbox.claim(transaction, "a", 10, 0, scope, only_pending=True),
        "recipients",
    )
    assert "ix_recipients_claim" in found
    if scope.only and not database.is_sqlite:  # rows of other providers are not read
        assert "(provider = " in found.partition("Index Cond")[2].partition("Filter")[0]


@pytest.mark.parametrize("scope", [ClaimScope(), ClaimScope(1)], ids=["all", "one provider"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda outbox, transaction, scope: outbox.claim_from_pool(transaction, "a", 10, 3, scope),
        lambda outbox, transaction, scope: outbox.first_pending(transaction, UNCLAIMED, 3, scope),
    ],
    ids=["claim", "look"],
)
def test_recipients_of_the_pool_are_found_by_the_index_of_claims(
    database: Database, ask: Callable[..., object], scope: ClaimScope
) -> None:
    found = plan(
        database, lambda outbox, transaction: ask(outbox, transaction, scope), "recipients"
    )
    assert "ix_recipients_claim" in found


@pytest.mark.parametrize(
    "ask",
    [
        lambda outbox, transaction: outbox.first_pending(transaction, "a", 10, ClaimScope()),
        lambda outbox, transaction: outbox.count_pending(transaction, "a", 10, ClaimScope()),
        lambda outbox, transaction: outbox.claim_pending(transaction, "a", 5, 10, ClaimScope()),
    ],
    ids=["first", "count", "claim"],
)
def test_the_recipients_of_a_time_zone_are_a_range_of_the_index(
    database: Database, ask: Ask
) -> None:
    found = plan(database, ask, "recipients")
    assert "ix_recipients_claim" in found
    ids = "id>? AND id<?" if database.is_sqlite else "(id > '10'::bigint) AND (id <= "
    assert ids in found.replace("(id > 10)", "(id > '10'::bigint)")


def plan(database: Database, ask: Ask, part: str) -> str:
    """The plan of the first query that contains a text."""
    outbox = store(database)
    first: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if part in statement and "SELECT" in statement:
            first.append((statement, parameters))

    with database.write() as transaction:
        sa.event.listen(database.engine, "before_cursor_execute", note)
        ask(outbox, transaction)
        sa.event.remove(database.engine, "before_cursor_execute", note)
    statement, parameters = first[0]
    explain = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    with database.write() as transaction:
        if not database.is_sqlite:  # a table of eight rows is read as a whole
            transaction.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return str(transaction.exec_driver_sql(f"{explain} {statement}", parameters).all())


def test_an_update_of_the_status_changes_no_index(database: Database) -> None:
    """PostgreSQL then writes no index entries for it (HOT): neither columns nor conditions."""
    store(database)
    inspector = sa.inspect(database.engine)
    tables = ["recipients"] if database.is_sqlite else ["recipients_shared", "recipients_1"]
    by_index = {
        index["name"]: f"{index['column_names']} {index.get('dialect_options', {})}"
        for table in tables
        for index in inspector.get_indexes(table)
    }
    written = ("status", "settled_at", "attempts", "'code'", "reply", "claimed_by")
    assert {name for name, what in by_index.items() if any(x in what for x in written)} == set()
    assert len(by_index) == 2 * len(tables)
