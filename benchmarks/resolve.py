"""Measure seconds and memory from a CSV file to stored recipients with their connections.

Each measurement in a process of its own; memory is the most that it had resident.
"""

from __future__ import annotations

import argparse
import json
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import document, results
from benchmarks.databases import KINDS, NO_QUERIES, database, server_seconds
from benchmarks.processes import module, peak_mb, run_json

if TYPE_CHECKING:
    from mailsluice.campaign import Campaign
    from mailsluice.store import Database

COUNTS = (100_000, 1_000_000)
LARGE_COUNT = 10_000_000


def measure(recipients: int, url: str) -> dict[str, float]:
    """Resolve, assign and store once, in this process."""
    from mailsluice.campaign import Campaign

    fields = document.campaign("resolve", recipients, 2_000, ["smtp-a", "smtp-b"])
    return launched(Campaign(**fields), url)


def launched(campaign: Campaign, url: str) -> dict[str, float]:
    """Resolve, assign and store the recipients of a campaign, in this process."""
    from mailsluice.operations import launch
    from mailsluice.store import Campaigns, Database

    with Database(url) as opened:
        imported_mb, started, cpu = peak_mb(), time.monotonic(), processor_seconds(opened)
        record = Campaigns(opened).register(campaign.name, launch.content(campaign))
        with launch.resolve_audience(campaign, opened, NO_QUERIES) as audience:
            resolved = time.monotonic()
            occasion = launch.Occasion(document.DAY, opened.moment())
            launch.store_audience(opened, record.id, campaign, audience, occasion)
        done, cpu_after = time.monotonic(), processor_seconds(opened)
    return {
        "resolve_seconds": resolved - started,
        "store_seconds": done - resolved,
        "seconds": done - started,
        "processor_seconds": cpu_after[0] - cpu[0],
        "server_seconds": cpu_after[1] - cpu[1],
        "peak_mb": peak_mb(),
        "imported_mb": imported_mb,
    }


def processor_seconds(opened: Database) -> tuple[float, float]:
    """Processor seconds so far: of this process, and of the database's server."""
    return time.process_time(), 0.0 if opened.is_sqlite else server_seconds(opened.engine)


def tables(section: dict[str, Any]) -> str:
    """Format the medians as a markdown table."""
    rows = []
    for one in section["measured"]:
        seconds = {name: median(run[name] for run in one["runs"]) for name in one["runs"][0]}
        rows.append(
            [
                f"{one['database']}, {one['recipients']:,} rows",
                f"{seconds['resolve_seconds']:.2f} s",
                f"{seconds['store_seconds']:.2f} s",
                f"{seconds['seconds']:.2f} s",
                f"{one['recipients'] / seconds['seconds']:,.0f}",
                f"{seconds['processor_seconds']:.2f} + {seconds['server_seconds']:.2f} s",
                f"{seconds['peak_mb']:,.0f} MB",
            ]
        )
    head = [
        "resolved, assigned, stored",
        "resolve",
        "assign + store",
        "both",
        "rows/s",
        "processor: client + server",
        "memory",
    ]
    return results.table(head, rows)


def run(*, repeat: int = 3, messages: int | None = None, large: bool = False) -> None:
    """Measure, print and save."""
    before = results.machine()
    counts = [messages] if messages else [*COUNTS, *([LARGE_COUNT] if large else [])]
    measured: dict[tuple[int, str], list[Any]] = {}
    for recipients in counts:
        document.recipients_file(recipients)
        for _ in range(1 if recipients >= LARGE_COUNT else repeat):
            for kind in KINDS:
                with database(kind) as url:
                    child = module("benchmarks.resolve", "--child", url, "--messages", recipients)
                    measured.setdefault((recipients, kind), []).append(run_json(child))
    rows = [
        {"recipients": recipients, "database": kind, "runs": runs}
        for (recipients, kind), runs in measured.items()
    ]
    print(f"{tables({'measured': rows})}\n", flush=True)
    results.save("resolve", before, measured=rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.resolve", description=__doc__)
    parser.add_argument("--messages", type=int, help="recipients, instead of 10^5 and 10^6")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="10^7 as well, once")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.messages, arguments.child)))
    else:
        run(repeat=arguments.repeat, messages=arguments.messages, large=arguments.large)
