"""Measure the time from the restart of a half-sent campaign to the first mail at a server.

The campaign is made directly in the database; the clock starts before the database is opened.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from benchmarks import document, results
from benchmarks.databases import KINDS, database
from benchmarks.processes import BenchmarkError, module, run_json
from benchmarks.sinks import default_kind, sinks
from mailsluice.campaign import Campaign
from mailsluice.delivery import CampaignRun
from mailsluice.operations import launch
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import (
    Campaigns,
    Database,
    Launches,
    RouteRecord,
)
from mailsluice.store.campaign_tables import own_tables, shared_tables

RECIPIENTS = 1_000_000
_NAMES = ("smtp-a", "smtp-b")
_SESSIONS = 10
_SEND_SECONDS = 1.0
_RECIPIENTS = """
INSERT INTO {table} (campaign_id, email, connection, status, variables, attempts,
                        first_attempt_at, settled_at, code, reply)
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)
SELECT :campaign, 'user' || i || '@example.com',
       CASE WHEN i % 2 = 0 THEN :even ELSE :odd END,
       CASE WHEN i <= :sent THEN 'sent' ELSE 'pending' END,
       '{"first_name": "Zoe", "city": "Lisbon"}',
       CASE WHEN i <= :sent THEN 1 ELSE 0 END,
       CASE WHEN i <= :sent THEN 1 END, CASE WHEN i <= :sent THEN 1 END,
       CASE WHEN i <= :sent THEN 250 END, CASE WHEN i <= :sent THEN '2.0.0 Ok' END
FROM n
"""


def campaign(names: Sequence[str] = _NAMES) -> Campaign:
    """The resumed run reads the recipients from the database, not from the file."""
    fields = document.campaign("resume", 40, 2_000, list(names))
    return Campaign(**fields)


def prepare(url: str, recipients: int, sent: int, names: Sequence[str] = _NAMES) -> None:
    """Make a campaign over one or two connections that is sent so far."""
    with Database(url) as opened:
        campaigns = Campaigns(opened)
        record = campaigns.register("resume", launch.content(campaign(names)))
        values: dict[str, Any] = {"campaign": record.id, "rows": recipients, "sent": sent}
        values |= {"even": names[0], "odd": names[-1]}
        tables = shared_tables(opened) if opened.is_sqlite else own_tables(record.id)
        with opened.write() as connection:
            if tables.is_own:
                connection.execute(sa.select(sa.func.mailsluice_create_tables(record.id)))
            insert = _RECIPIENTS.replace("{table}", tables.recipients.name)
            connection.execute(sa.text(insert), values)
            if tables.is_own:
                connection.execute(sa.select(sa.func.mailsluice_attach_tables(record.id)))
        Launches(opened).finish(
            record.id,
            read_rows=recipients,
            accepted=recipients,
            rejected={},
            assigned=[
                RouteRecord(name, str(100 // len(names)), recipients // len(names))
                for name in names
            ],
            digest="",
        )


async def resume(url: str, ports: list[int]) -> dict[str, float]:
    """Resume for a second; returns its start by the monotonic clock."""
    started = time.monotonic()
    document_ = campaign()
    with tempfile.TemporaryDirectory() as home, Database(url) as opened:
        content = launch.content(document_)
        run = CampaignRun(opened, document_, content, owner="resume", home=Path(home))
        try:
            message = launch.compiled(document_, run.outbox.columns())
            connections = [
                Connection(name, "127.0.0.1", port, Security.NONE, max_sessions=_SESSIONS)
                for name, port in zip(_NAMES, ports, strict=True)
            ]
            sending = asyncio.gather(*(run.send(one, message) for one in connections))
            await asyncio.sleep(_SEND_SECONDS)
            run.stop()
            await sending
        finally:
            await run.close()
    return {"started": started}


def measure(kind: str, recipients: int) -> float:
    """Measure the seconds to the first mail."""
    with database(kind) as url, sinks(len(_NAMES), default_kind()) as there:
        run_json(module("benchmarks.resume", "--prepare", url, "--messages", recipients))
        ports = json.dumps([sink.port for sink in there])
        started = run_json(module("benchmarks.resume", "--resume", url, "--ports", ports))
        firsts = [sink.first.at for sink in there if sink.first]
        if not firsts:
            raise BenchmarkError("no message has arrived")
        return min(firsts) - float(started["started"])


def tables(section: dict[str, Any]) -> str:
    """Format a markdown table."""
    rows = [
        [f"{one['database']}, {one['recipients']:,} recipients", f"{median(one['seconds']):.2f} s"]
        for one in section["measured"]
    ]
    return results.table(["half-sent campaign", "to the first mail"], rows)


def run(*, repeat: int = 3, messages: int | None = None) -> None:
    """Measure, print and save."""
    before, recipients = results.machine(), messages or RECIPIENTS
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(repeat):
        for kind in KINDS:
            seconds[kind].append(measure(kind, recipients))
    measured = [
        {"database": kind, "recipients": recipients, "seconds": taken}
        for kind, taken in seconds.items()
    ]
    print(f"{tables({'measured': measured})}\n", flush=True)
    results.save("resume", before, measured=measured)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resume", description=__doc__)
    parser.add_argument("--messages", type=int, help=f"recipients, instead of {RECIPIENTS:,}")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--prepare", help=argparse.SUPPRESS)
    parser.add_argument("--resume", help=argparse.SUPPRESS)
    parser.add_argument("--ports", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare(arguments.prepare, arguments.messages, arguments.messages // 2)
        print("{}")
    elif arguments.resume:
        print(json.dumps(asyncio.run(resume(arguments.resume, arguments.ports))))
    else:
        run(repeat=arguments.repeat, messages=arguments.messages)


if __name__ == "__main__":
    main()
