"""Measure, on PostgreSQL, the upgrade of a stored database, housekeeping, and many tables.

Times are seconds of the wall and of the server's processors; the latter hold beside other work.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import alembic.command
import sqlalchemy as sa

from benchmarks import results
from benchmarks.databases import database, server_seconds
from benchmarks.filled import add_campaign
from mailsluice.core.status import CampaignStatus
from mailsluice.operations.housekeeping import clearing, writing
from mailsluice.operations.housekeeping.verifying import verify_written
from mailsluice.store import Campaigns, Database
from mailsluice.store.archives import Archives

_REVISION = "0011"
_OLD_ROWS = """
INSERT INTO recipients (id, campaign_id, email, connection, status, variables, attempts,
                        first_attempt_at, settled_at, code, reply)
SELECT i, 1 + i % 10, 'user' || i || '@d' || i % 200 || '.example.com',
       (ARRAY['smtp-a', 'smtp-b'])[1 + i % 2], 'sent', '{"first_name":"Zoe","city":"Lisbon"}', 1,
       0, 0, 250, '2.0.0 Ok: queued as ' || md5(i::text)
FROM generate_series(1, :rows) AS i
"""
_OLD_ATTEMPTS = """
INSERT INTO attempts (recipient_id, at, connection, phase, verdict, code, reply)
SELECT i, 0, 'smtp-a', 'rcpt', 'deferred', 450, '4.2.1 later'
FROM generate_series(1, :rows, 10) AS i
"""


def upgraded(rows: int) -> dict[str, float]:
    """Upgrade a database of the version before campaigns had tables of their own."""
    with database("PostgreSQL") as url:
        _fill_old(url, rows)
        engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        timed = _timed(engine, lambda: Database(url).close())
        engine.dispose()
        return timed


def _fill_old(url: str, rows: int) -> None:
    upgrade = alembic.command.upgrade
    with patch.object(alembic.command, "upgrade", lambda config, _: upgrade(config, _REVISION)):
        opened = Database(url)
    with opened, opened.write() as transaction:
        transaction.exec_driver_sql("SET LOCAL session_replication_role = replica")
        transaction.exec_driver_sql(
            "INSERT INTO campaigns (name, status, content, created_at)"
            " SELECT 'campaign ' || i, 'completed', '{}', 0 FROM generate_series(1, 10) AS i"
        )
        for statement in (_OLD_ROWS, _OLD_ATTEMPTS):
            transaction.execute(sa.text(statement), {"rows": rows})


def cleared(rows: int) -> dict[str, dict[str, float]]:
    """Archive a campaign of so many recipients, a tenth of which have an attempt, and clear it."""
    with (
        database("PostgreSQL") as url,
        Database(url) as opened,
        tempfile.TemporaryDirectory(prefix="mailsluice-bench-") as folder,
    ):
        add_campaign(opened, 1, rows, rows)
        with opened.write() as transaction:
            statement = _OLD_ATTEMPTS.replace("attempts", "attempts_1", 1)
            transaction.execute(sa.text(statement), {"rows": rows})
        Campaigns(opened).set_status(1, CampaignStatus.COMPLETED)
        (campaign,) = Archives(opened).campaign_ages()
        written: list[Any] = []

        def write() -> None:
            written.extend(writing.write(opened, campaign, Path(folder), _go_on))

        def verify() -> None:
            verify_written(opened, written[0], written[1])

        def clear() -> None:
            clearing.clear(opened, 1, written[0], _go_on)

        steps: dict[str, Callable[[], None]] = {"write": write, "read back": verify, "clear": clear}
        return {name: _timed(opened.engine, step) for name, step in steps.items()}


def _go_on() -> None:
    """Never pause."""


def _timed(engine: sa.Engine, action: Callable[[], None]) -> dict[str, float]:
    server, client, begun = server_seconds(engine), time.process_time(), time.monotonic()
    action()
    seconds = time.monotonic() - begun
    client = time.process_time() - client
    return {"seconds": seconds, "client": client, "server": server_seconds(engine) - server}


_STATEMENTS = {
    "one campaign, by its table": "SELECT count(*) FROM recipients_1 WHERE campaign_id = 1",
    "one campaign, by `recipients`": "SELECT count(*) FROM recipients WHERE campaign_id = 1",
    "all campaigns": "SELECT count(*) FROM recipients",
}


def planned(campaigns: int, sharing: int) -> list[dict[str, Any]]:
    """The cost of planning and locking statements, by the number of campaigns with own tables."""
    with database("PostgreSQL") as url, Database(url) as opened:
        with opened.write() as transaction:
            transaction.exec_driver_sql(
                "INSERT INTO campaigns (name, status, content, created_at) SELECT 'campaign ' || i,"
                " 'resolving', '{}', 0 FROM generate_series(1, %(all)s) AS i",
                {"all": campaigns + sharing},
            )
        for number in range(1, campaigns + 1):
            with opened.write() as transaction:
                transaction.execute(sa.select(sa.func.mailsluice_create_tables(number)))
                transaction.execute(sa.select(sa.func.mailsluice_attach_tables(number)))
        return [
            {"campaigns": campaigns, "statement": name, **_planned(opened, statement)}
            for name, statement in _STATEMENTS.items()
        ]


def _planned(opened: Database, statement: str) -> dict[str, float]:
    locks = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
    with opened.engine.connect() as connection:
        for _ in range(2):  # the first one reads the catalogue
            explained = connection.exec_driver_sql(f"EXPLAIN (SUMMARY, FORMAT JSON) {statement}")
            plan = explained.scalar_one()[0]
        held = int(connection.exec_driver_sql(locks).scalar_one()) - 2  # pg_locks itself
    return {"milliseconds": plan["Planning Time"], "locks": held}


def run(*, rows: int, tables: list[int], sharing: int, parts: list[str]) -> None:
    """Measure, print and save."""
    before = results.machine()
    section: dict[str, Any] = {}
    if "upgrade" in parts:
        section["upgrade"] = {"rows": rows, **upgraded(rows)}
        print(section["upgrade"], flush=True)
    if "housekeeping" in parts:
        section["housekeeping"] = cleared(rows)
        print(section["housekeeping"], flush=True)
    if "tables" in parts:
        section["tables"] = [line for number in tables for line in planned(number, sharing)]
        for line in section["tables"]:
            print(line, flush=True)
    results.save("upkeep", before, **section)


PARTS = ("upgrade", "housekeeping", "tables")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.upkeep", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tables", type=int, nargs="+", default=[1, 100, 500, 1_000])
    parser.add_argument("--sharing", type=int, default=5_000, help="campaigns that share tables")
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    arguments = parser.parse_args()
    run(**vars(arguments))
