"""Measure what it costs PostgreSQL to keep the ids of replies, by how they are kept.

Each message is claimed and settled in batches, as the store's thread does. Then an id is looked up
by reading the campaign, as `mailsluice find` does.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import sqlalchemy as sa

from benchmarks import results
from benchmarks.databases import database
from benchmarks.filled import CONNECTIONS, add_campaign, maintain
from benchmarks.updates import counters
from mailsluice.store import Database, Outbox
from mailsluice.store.sent_mail import SentMail

_BATCH_ROWS = 600
_COLUMN = "ALTER TABLE recipients ADD COLUMN reply_id TEXT"
WAYS = {
    "in the reply alone": (),
    "in a column": (_COLUMN,),
    "in a column with an index": (_COLUMN, "CREATE INDEX ix_reply_id ON recipients_1 (reply_id)"),
    "in a table with an index": (
        "CREATE TABLE reply_ids (hash BIGINT NOT NULL, recipient_id BIGINT NOT NULL)",
        "CREATE INDEX ix_reply_ids ON reply_ids (hash)",
    ),
}
_GIVEN = "unnest(CAST(:ids AS bigint[]), CAST(:texts AS text[])) AS given(id, text)"
_SETTLE = (
    "UPDATE recipients_1 SET status = 'sent', attempts = 1, code = 250,"
    " reply = 'Ok ' || given.text, settled_at = 1e9, first_attempt_at = 1e9 {} FROM "
    + _GIVEN
    + " WHERE recipients_1.id = given.id"
)
_INSERT = "INSERT INTO reply_ids SELECT hashtextextended(given.text, 0), given.id FROM " + _GIVEN


def measure(way: str, rows: int) -> dict[str, Any]:
    """Settle one campaign, and look one id up."""
    with database("PostgreSQL") as url, Database(url) as opened:
        add_campaign(opened, 1, rows, 0)
        for statement in WAYS[way]:
            with opened.write() as transaction:
                transaction.exec_driver_sql(statement)
        maintain(opened, "VACUUM ANALYZE recipients_1")
        maintain(opened, "CHECKPOINT")
        before = counters(opened)
        _send(opened, way)
        after = counters(opened)
        begun = time.monotonic()
        assert len(SentMail(opened).by_reply_id(1, _id(rows // 2))) == 1
        return {
            "way": way,
            "wal_bytes": (after["wal"] - before["wal"]) / rows,
            "hot_percent": 100
            * (after["hot"] - before["hot"])
            / (after["updates"] - before["updates"]),
            "look_up_seconds": (time.monotonic() - begun) * 1_000_000 / rows,
        }


def _send(opened: Database, way: str) -> None:
    outbox = Outbox(opened, 1)
    settle = sa.text(_SETTLE.format(", reply_id = given.text" if "column" in way else ""))
    for name in CONNECTIONS:
        given: dict[str, list[Any]] = {"ids": [], "texts": []}
        after = 0
        while True:
            with opened.write() as transaction:
                transaction.execute(settle, given)
                if "table" in way:
                    transaction.execute(sa.text(_INSERT), given)
                rows = outbox.claim(transaction, name, _BATCH_ROWS, after)
            if not rows:
                break
            after = rows[-1].id
            given = {"ids": [row.id for row in rows], "texts": [_id(row.id) for row in rows]}


def _id(number: int) -> str:
    """An id in the form of Amazon SES."""
    return f"0100016e4ab7c399-{number:08x}-d4ad-407b-92b8-94472f229325-000000"


def tables(section: dict[str, Any]) -> str:
    """Format a markdown table; look-ups are seconds in a million recipients."""
    rows = [
        [
            one["way"],
            f"{one['wal_bytes']:,.0f}",
            f"{one['hot_percent']:.0f} %",
            f"{one['look_up_seconds']:.2f}",
        ]
        for one in section["measured"]
    ]
    return results.table(["kept", "WAL bytes a message", "HOT", "look-up without an index"], rows)


def run(*, rows: int) -> None:
    """Measure, print and save."""
    before = results.machine()
    measured = [measure(way, rows) for way in WAYS]
    print(tables({"measured": measured}), flush=True)
    results.save("reply_ids", before, measured=measured)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reply_ids", description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    run(**vars(parser.parse_args()))
