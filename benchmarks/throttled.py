"""Sends one campaign on the engine, without Prefect, and prints what the throttles cost it. A child
of `throttles`, which may kill it: the next one with the same task goes on.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from benchmarks import document
from benchmarks.campaign import ThreadTimes
from mailsluice.campaign import Campaign
from mailsluice.operations.send import prepare, send_connections
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Ask, Database, Starts, Usages

RESERVE = "Usages.reserve"
_THREADS = ("mailsluice-engine", "mailsluice-store")


@dataclass(frozen=True, slots=True)
class Told:
    """The figures of one process."""

    seconds: float
    """The seconds of sending."""
    reserve_calls: int
    reserve_cpu_seconds: float
    reserve_wall_seconds: float
    threads_cpu_seconds: float
    """The CPU seconds of the engine's thread and of the store's thread."""

    def shares(self) -> dict[str, float]:
        """The cost of `Usages.reserve`, as shares of the sending time and of both threads' time."""
        return {
            "calls_per_second": self.reserve_calls / self.seconds,
            "cpu": self.reserve_cpu_seconds / self.seconds,
            "wall": self.reserve_wall_seconds / self.seconds,
            "cpu_of_threads": self.reserve_cpu_seconds / (self.threads_cpu_seconds or math.inf),
        }


class ReserveTimes:
    """Counts and times the calls of `Usages.reserve` in this process."""

    def __init__(self) -> None:
        self.calls = 0
        self.cpu_seconds = self.wall_seconds = 0.0
        reserve = Usages.reserve

        def timed(usages: Usages, transaction: sa.Connection, asks: Sequence[Ask]) -> list[Starts]:
            cpu, wall = time.thread_time(), time.monotonic()
            try:
                return reserve(usages, transaction, asks)
            finally:
                self.calls += bool(asks)
                self.cpu_seconds += time.thread_time() - cpu
                self.wall_seconds += time.monotonic() - wall

        Usages.reserve = timed  # type: ignore[assignment, method-assign]


async def send(task: dict[str, Any]) -> Told:
    """Launch or continue the campaign, and send until no recipient is left."""
    campaign, reserve = Campaign(**task["campaign"]), ReserveTimes()
    with Database(task["url"]) as database:
        run = await asyncio.to_thread(
            prepare, database, campaign, owner="bench", home=Path(task["home"]), day=document.DAY
        )
        try:
            connections = [Connection(security=Security.NONE, **one) for one in task["connections"]]
            with ThreadTimes() as threads:
                await send_connections(run, campaign, connections)
            report = run.report()
        finally:
            await run.close()
    return Told(
        seconds=max(route.seconds for route in report.routes),
        reserve_calls=reserve.calls,
        reserve_cpu_seconds=reserve.cpu_seconds,
        reserve_wall_seconds=reserve.wall_seconds,
        threads_cpu_seconds=sum(threads.seconds.get(name, 0.0) for name in _THREADS),
    )


if __name__ == "__main__":
    print("\n" + json.dumps(asdict(asyncio.run(send(json.loads(sys.argv[1]))))))
