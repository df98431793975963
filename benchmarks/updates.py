"""Measure what a message costs PostgreSQL (claim and outcome), by fillfactor, and packed."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from benchmarks import results
from benchmarks.databases import database, server_seconds
from benchmarks.filled import CONNECTIONS, add_campaign, maintain
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.store import Campaigns, Database, Outbox, Settled
from mailsluice.store.packing import pack

FILLFACTORS = (100, 85, 70, 60, 50)
_BATCH_ROWS = 600
"""Rows that one transaction of the store's thread claims and settles at full speed."""


def measure(fillfactor: int, rows: int) -> dict[str, Any]:
    """Do the claims and outcomes of one campaign."""
    with database("PostgreSQL") as url, Database(url) as opened:
        add_campaign(opened, 1, rows, 0, f"fillfactor = {fillfactor}")
        maintain(opened, "VACUUM ANALYZE recipients_1")
        maintain(opened, "CHECKPOINT")
        before, begun = counters(opened), time.monotonic()
        for _ in _batches(opened, Outbox(opened, 1)):
            pass
        seconds = time.monotonic() - begun
        after = counters(opened)
        Campaigns(opened).set_status(1, CampaignStatus.COMPLETED)
        packing = server_seconds(opened.engine)
        pack(opened, 1)
        packing = server_seconds(opened.engine) - packing
        packed = counters(opened)
        return {
            "fillfactor": fillfactor,
            "rows": rows,
            "per_second": rows / seconds,
            "wal_bytes": (after["wal"] - before["wal"]) / rows,
            "hot_percent": 100 * after["hot"] / after["updates"],
            "table_before": before["table"] / rows,
            "table_after": after["table"] / rows,
            "indexes_before": before["indexes"] / rows,
            "indexes_after": after["indexes"] / rows,
            "table_packed": packed["table"] / rows,
            "indexes_packed": packed["indexes"] / rows,
            "packing_wal_bytes": (packed["wal"] - after["wal"]) / rows,
            "packing_us": packing * 1e6 / rows,
        }


def _batches(opened: Database, outbox: Outbox) -> Iterator[int]:
    """Claim and settle as the store's thread does; each transaction settles the batch before."""
    for name in CONNECTIONS:
        settled: list[Settled] = []
        after = 0
        while True:
            with opened.write() as transaction:
                outbox.settle(transaction, settled)
                rows = outbox.claim(transaction, name, _BATCH_ROWS, after)
            if not rows:
                break
            after = rows[-1].id
            settled = [
                Settled(row.id, RecipientStatus.SENT, 1, 250, f"2.0.0 Ok: queued as {row.id:032x}")
                for row in rows
            ]
            yield len(rows)


def counters(opened: Database) -> dict[str, int]:
    """Return what PostgreSQL has counted so far, in bytes and updates."""
    query = sa.text(
        """
        SELECT pg_current_wal_lsn() - '0/0' AS wal, pg_table_size('recipients_1') AS table,
               pg_indexes_size('recipients_1') AS indexes,
               n_tup_upd AS updates, n_tup_hot_upd AS hot, pg_stat_force_next_flush()
        FROM pg_stat_user_tables WHERE relname = 'recipients_1'
        """
    )
    with opened.engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        row = connection.execute(query).mappings().one()
        return {name: int(row[name]) for name in ("wal", "table", "indexes", "updates", "hot")}


def tables(section: dict[str, Any]) -> str:
    """Format a markdown table."""
    head = ["fillfactor", "messages/s", "WAL bytes", "HOT", "table + indexes", "after", "packed"]
    rows = [
        [
            f"{one['fillfactor']}",
            f"{one['per_second']:,.0f}",
            f"{one['wal_bytes']:,.0f}",
            f"{one['hot_percent']:.0f} %",
            f"{one['table_before']:.0f} + {one['indexes_before']:.0f}",
            f"{one['table_after']:.0f} + {one['indexes_after']:.0f}",
            f"{one['table_packed']:.0f} + {one['indexes_packed']:.0f}",
        ]
        for one in section["measured"]
    ]
    return results.table(head, rows)


def run(*, rows: int, fillfactors: list[int]) -> None:
    """Measure, print and save. Bytes are a message's: of its row, and of its index entries."""
    before = results.machine()
    measured = []
    for fillfactor in fillfactors:
        measured.append(measure(fillfactor, rows))
        print(tables({"measured": measured[-1:]}).splitlines()[-1], flush=True)
    print(f"\n{tables({'measured': measured})}\n", flush=True)
    results.save("updates", before, measured=measured)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.updates", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--fillfactors", type=int, nargs="+", default=list(FILLFACTORS))
    arguments = parser.parse_args()
    run(**vars(arguments))
