"""Measure sending over one connection by one process and by several, on PostgreSQL.

Each process is what a worker runs: claims, journal, lease and outcomes of its own. They start
together; rates are what the server counts between its first message and its last. With a round
trip (`--round-trips`) sessions are what is short, not processors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa

from benchmarks import results
from benchmarks.campaign import ThreadTimes
from benchmarks.databases import database
from benchmarks.delay_proxy import delayed
from benchmarks.processes import BenchmarkError, module, run_json
from benchmarks.resume import campaign, prepare
from benchmarks.scale import database_cost
from benchmarks.sinks import default_kind, rate, sinks, wait_for
from mailsluice.delivery import SenderRun
from mailsluice.operations import launch
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Database, Ending

_NAME = "smtp-a"
_SESSIONS = 20
_START_SECONDS = 4.0
"""By then all processes have finished their imports."""


class HeldTimes:
    """Times each database connection's use: statements, commits, and the time in between."""

    def __init__(self, engine: sa.Engine) -> None:
        self.seconds = 0.0
        self._since: dict[int, float] = {}
        self._lock = threading.Lock()
        sa.event.listen(engine, "checkout", self._taken)
        sa.event.listen(engine, "checkin", self._given_back)

    def _taken(self, _: Any, record: Any, __: Any) -> None:
        self._since[id(record)] = time.monotonic()

    def _given_back(self, _: Any, record: Any) -> None:
        since = self._since.pop(id(record), None)
        if since is not None:
            with self._lock:
                self.seconds += time.monotonic() - since


async def work(url: str, port: int, start_at: float) -> dict[str, Any]:
    """Send as one of several; returns what it sent and how its time was used."""
    document = campaign([_NAME])
    with tempfile.TemporaryDirectory() as home, Database(url) as opened:
        run = SenderRun(opened, document, _NAME, owner="a worker", home=Path(home))
        try:
            message = launch.compiled(document, run.outbox.columns())
            connection = Connection(_NAME, "127.0.0.1", port, Security.NONE, max_sessions=_SESSIONS)
            await asyncio.sleep(start_at - time.time())
            held = HeldTimes(opened.engine)
            with ThreadTimes() as threads:
                result = await run.send(connection, message)
            await run.end(Ending.DONE)
        finally:
            await run.close()
    return {
        "sent": result.sent,
        "seconds": result.seconds,
        "database_share": held.seconds / result.seconds,
        "cpu": sum(threads.seconds.values()),
    }


def measure(workers: int, round_trip: float, messages: int) -> dict[str, Any]:
    """Send one campaign by so many processes."""
    with database("PostgreSQL") as url, sinks(1, default_kind()) as there:
        prepare(url, messages, 0, [_NAME])
        with delayed([there[0].port], round_trip) as (port,), database_cost(url) as cost:
            command = module("benchmarks.workers", "--work", url, "--port", port)
            command += ["--start-at", str(time.time() + _START_SECONDS)]
            with ThreadPoolExecutor(workers) as pool:
                told = list(pool.map(run_json, [command] * workers))
        wait_for(there, messages)
        per_second = rate(there)
    if (sent := sum(one["sent"] for one in told)) != messages:
        raise BenchmarkError(f"{sent} of {messages} messages were sent")
    return {
        "workers": workers,
        "round_trip_ms": round(round_trip * 1_000),
        "messages": messages,
        "per_second": per_second,
        "database_share": sum(one["database_share"] for one in told) / workers,
        "least": min(one["sent"] for one in told) / messages,
        "cpu_us": sum(one["cpu"] for one in told) * 1e6 / messages,
        "database_cpu_us": cost["database_cpu"] * 1e6 / messages,
    }


def tables(section: dict[str, Any]) -> str:
    """Format a markdown table with the medians of the repetitions."""
    head = ["round trip", "processes", "mails/s", "times", "CPU a mail", "of the database"]
    rows = []
    for (ms, workers), group in _groups(section["measured"]):
        rates = median(one["per_second"] for one in group)
        (alone,) = [g for key, g in _groups(section["measured"]) if key == (ms, 1)]
        rows.append(
            [
                f"{ms} ms",
                workers,
                f"{rates:,.0f}",
                f"{rates / median(one['per_second'] for one in alone):.2f}",
                f"{median(one['cpu_us'] for one in group):.0f} us",
                f"{median(one['database_cpu_us'] for one in group):.0f} us",
                f"{median(one['database_share'] for one in group):.0%}",
                f"{median(one['least'] for one in group):.0%}",
            ]
        )
    return results.table([*head, "in the database", "least share"], rows)


def _groups(
    measured: list[dict[str, Any]],
) -> Iterator[tuple[tuple[int, int], list[dict[str, Any]]]]:
    keys = [(one["round_trip_ms"], one["workers"]) for one in measured]
    for key in sorted(set(keys)):
        yield key, [one for one, its in zip(measured, keys, strict=True) if its == key]


def run(*, workers: list[int], round_trips: list[float], messages: int, repeat: int) -> None:
    """Measure, print and save."""
    before, measured = results.machine(), []
    for _ in range(repeat):
        for milliseconds in round_trips:
            # A far server takes a session fewer mails a second: as long with fewer of them.
            number = min(messages, 60_000) if milliseconds else messages
            measured += [measure(count, milliseconds / 1_000, number) for count in workers]
    print(f"{tables({'measured': measured})}\n", flush=True)
    results.save("workers", before, measured=measured)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--round-trips", type=float, nargs="+", default=[0.0, 20.0], help="ms")
    parser.add_argument("--messages", type=int, default=400_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--start-at", type=float, help=argparse.SUPPRESS)
    given = vars(parser.parse_args())
    url, port, start_at = given.pop("work"), given.pop("port"), given.pop("start_at")
    if url:
        print(json.dumps(asyncio.run(work(url, port, start_at))))
    else:
        run(**given)


if __name__ == "__main__":
    main()
