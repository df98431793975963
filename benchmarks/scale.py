"""Measure the cost of a million mails (processor, database, Prefect), extrapolated to 10^9 a day.

Campaigns go out by the real flow to servers that throw everything away. The database's processor
time is that of all PostgreSQL's processes; SQLite's is in the engine's own threads.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from benchmarks import results
from benchmarks.api_calls import by_kind
from benchmarks.api_proxy import counted
from benchmarks.databases import KINDS, database, server_seconds
from benchmarks.document import recipients_file
from benchmarks.processes import BenchmarkError, module, run_json
from benchmarks.send import a_prefect_server
from benchmarks.senders import Task
from benchmarks.sinks import default_kind, sinks
from mailsluice.store import Database

COUNTS = (10_000, 100_000, 1_000_000)
_SESSIONS = 20
_BYTES = 2_000
_WARM_UP = 40
_OWN_THREADS = "mailsluice-"
_DAY_MAILS = 1_000_000_000
_DAY_SECONDS = 86_400
_SIZES = sa.text(
    """
    SELECT pg_current_wal_lsn() - '0/0' AS wal,
           (SELECT sum(pg_relation_size(inhrelid)) FROM pg_inherits
            WHERE inhparent = 'recipients'::regclass) AS table,
           (SELECT sum(pg_indexes_size(inhrelid)) FROM pg_inherits
            WHERE inhparent = 'recipients'::regclass) AS indexes,
           (SELECT sum(n_tup_upd) FROM pg_stat_user_tables) AS updated,
           (SELECT sum(n_tup_ins) FROM pg_stat_user_tables) AS inserted
    """
)


def measure(kind: str, mails: int) -> dict[str, Any]:
    """Send one campaign of so many mails; returns its total cost."""
    recipients_file(mails)
    straight = os.environ["PREFECT_API_URL"]
    with (
        database(kind) as url,
        tempfile.TemporaryDirectory(prefix="mailsluice-bench-") as home,
        sinks(2, default_kind()) as servers,
        counted(urlsplit(straight).port or 80) as (port, calls),
    ):
        with Database(url):
            pass  # makes the tables
        task = Task([one.port for one in servers], _SESSIONS, mails, _BYTES)
        environment = {
            "MAILSLUICE_HOME": home,
            "MAILSLUICE_DATABASE_URL": url,
            "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        }
        with database_cost(url) as cost:
            told = run_json(
                module("benchmarks.campaign", task.as_json(with_parts=False)), environment
            )
    if told["sent"] != mails:
        raise BenchmarkError(f"{told['sent']} of {mails} messages were sent")
    threads: Mapping[str, float] = told["cpu_us_per_message"]
    own = sum(us for name, us in threads.items() if name.startswith(_OWN_THREADS))
    return {
        "database": kind,
        "mails": mails,
        "seconds": told["whole_flow_seconds"],
        "per_second": told["engine_per_second"],
        "engine_cpu": own * mails / 1e6,
        "flow_cpu": (sum(threads.values()) - own) * mails / 1e6,
        "peak_mb": told["peak_mb"],
        "requests": by_kind(dict(calls.requests)),
        "events": calls.events,
        **cost,
    }


@contextmanager
def database_cost(url: str) -> Iterator[dict[str, float]]:
    """Measure the database's work in the `with` block; for SQLite only the size of its file."""
    cost: dict[str, float] = {}
    if url.startswith("sqlite"):
        yield cost
        file = Path(urlsplit(url).path)
        cost["bytes"] = sum(one.stat().st_size for one in file.parent.glob(f"{file.name}*"))
        return
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    before, cpu = _sizes(engine), server_seconds(engine)
    yield cost
    cost["database_cpu"] = server_seconds(engine) - cpu
    after = _sizes(engine)
    engine.dispose()
    cost["bytes"] = after["table"] + after["indexes"]
    for name in ("wal", "updated", "inserted"):
        cost[name] = after[name] - before[name]


def _sizes(engine: sa.Engine) -> dict[str, float]:
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        connection.rollback()
        row = connection.execute(_SIZES).mappings().one()
        return {name: float(value or 0) for name, value in row.items()}


def tables(section: dict[str, Any]) -> str:
    """Format the measured figures, and those computed from the largest campaign, in markdown."""
    head = ["measured", "mails/s", "engine", "flow", "database", "WAL", "stored", "API", "memory"]
    rows = [
        [
            f"{one['database']}, {one['mails']:,}",
            f"{one['per_second']:,.0f}",
            f"{_million(one, 'engine_cpu'):,.1f} s",
            f"{_million(one, 'flow_cpu'):,.1f} s",
            f"{_million(one, 'database_cpu'):,.1f} s" if "database_cpu" in one else "in engine",
            f"{_million(one, 'wal') / 1e6:,.0f} MB" if "wal" in one else "",
            f"{_million(one, 'bytes') / 1e6:,.0f} MB",
            f"{sum(one['requests'].values()):,}",
            f"{one['peak_mb']:,.0f} MB",
        ]
        for one in section["measured"]
    ]
    return f"{results.table(head, rows)}\n\n{_computed(section)}"


def _computed(section: dict[str, Any]) -> str:
    """Compute a day of 10^9 mails from the largest campaign of each database."""
    largest = {one["database"]: one for one in section["measured"]}
    rows = []
    for name, one in largest.items():
        cpu = sum(one.get(key, 0.0) for key in ("engine_cpu", "flow_cpu", "database_cpu"))
        day = _DAY_MAILS / one["mails"]
        wal = one.get("wal", 0.0) * day
        rows.append(
            [
                name,
                f"{cpu * day / _DAY_SECONDS:,.1f}",
                f"{one.get('database_cpu', 0.0) * day / _DAY_SECONDS:,.1f}",
                f"{one['bytes'] * day / 1e9:,.0f} GB",
                f"{wal / 1e9:,.0f} GB ({wal / _DAY_SECONDS / 1e6:,.0f} MB/s)" if wal else "",
            ]
        )
    head = ["computed: 10^9 a day", "cores, all", "cores, database", "stored a day", "WAL a day"]
    return results.table(head, rows)


def _million(one: Mapping[str, Any], name: str) -> float:
    return float(one[name]) * 1e6 / float(one["mails"])


def run(*, counts: list[int], kinds: list[str]) -> None:
    """Measure, print and save."""
    before = results.machine()
    measured = []
    with a_prefect_server():
        measure("SQLite", _WARM_UP)
        for kind in kinds:
            for mails in counts:
                measured.append(measure(kind, mails))
                print(tables({"measured": measured[-1:]}).splitlines()[2], flush=True)
    print(f"\n{tables({'measured': measured})}\n", flush=True)
    results.save("scale", before, measured=measured)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    arguments = parser.parse_args()
    run(**vars(arguments))
