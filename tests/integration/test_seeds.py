"""The table of seed tests."""

from __future__ import annotations

import sqlalchemy as sa

from mailsluice.operations.housekeeping.housekeeping import keep_house
from mailsluice.store import Database
from mailsluice.store.schema import seed_results
from mailsluice.store.seed_copy import SeedCopy
from mailsluice.store.seeds import Seeds

COPIES = [
    SeedCopy("red", "gmail", "Gmail", "inbox", 3.5, "pass", "pass", "pass", "TLS 1.3"),
    SeedCopy("red", "own", "", "missing", None),
    SeedCopy("green", "own", "", "spam", 4.0),
]


def test_the_copies_of_a_test_have_one_moment_and_are_read_by_connection(
    database: Database,
) -> None:
    seeds = Seeds(database)
    seeds.record("weekly", COPIES)
    seeds.record("weekly", [])
    seeds.record("weekly", COPIES[:1])
    found = seeds.since(["red"], 3_600.0)
    assert [(seed.placement, seed.delay_seconds) for seed in found] == [
        ("inbox", 3.5),
        ("missing", None),
        ("inbox", 3.5),
    ]
    assert found[0].at == found[1].at <= found[2].at
    assert len(seeds.since(["red", "green"], 3_600.0)) == 4
    assert seeds.since(["blue"], 3_600.0) == []
    assert seeds.since(["red"], -1.0) == []


def test_housekeeping_deletes_old_tests(sqlite_database: Database, tmp_path: object) -> None:
    seeds = Seeds(sqlite_database)
    seeds.record("weekly", COPIES[:1])
    with sqlite_database.write() as transaction:
        transaction.execute(sa.update(seed_results).values(at=seed_results.c.at - 500 * 86_400.0))
    seeds.record("weekly", COPIES[1:2])
    keep_house(sqlite_database, keep_days=400, folder=tmp_path, owner="a run")  # type: ignore[arg-type]
    assert [seed.placement for seed in seeds.since(["red"], 1_000 * 86_400.0)] == ["missing"]
