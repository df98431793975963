"""Measure a campaign sent by one process and by several of one run (`processes`).

The rate is what the servers count between the first message and the last. Processor time is that of
all processes of the run, from the first claim to the last outcome, with the start of those that
are started; it holds beside other load, where the rate does not. With `--pin`, each server has a
core of its own choice in turn, so that the processes compete for the others.

The model for more cores is Amdahl's law: on one database, the part of a message's time that the
database's writes take in turn cannot be divided.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import document, results
from benchmarks.databases import KINDS, database
from benchmarks.document import recipients_file
from benchmarks.processes import BenchmarkError, module, run_json
from benchmarks.sinks import default_kind, rate, sinks, wait_for
from mailsluice.operations.document_file import read_campaign
from mailsluice.operations.processes import processes_of
from mailsluice.operations.send import (
    prepare,
    send_connections,
    send_in_processes,
)
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Database

_SESSIONS = 10
_BYTES = 2_000
_MODEL = (2, 4, 8, 16)


def seconds_used() -> float:
    """The processor seconds of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


async def work(url: str, home: str, ports: list[int], count: int, messages: int) -> dict[str, Any]:
    """Launch and send one campaign; returns the processor time of the sending."""
    names = [f"smtp-{number}" for number, _ in enumerate(ports)]
    campaign = read_campaign(
        {**document.campaign("cores", messages, _BYTES, names), "processes": count}
    )
    connections = {
        name: Connection(name, "127.0.0.1", port, Security.NONE, max_sessions=_SESSIONS)
        for name, port in zip(names, ports, strict=True)
    }
    with Database(url) as opened:
        run = await asyncio.to_thread(
            prepare, opened, campaign, owner="cores", home=Path(home), day=document.DAY
        )
        await asyncio.to_thread(run.count)
        before = seconds_used()
        try:
            async with processes_of(run, campaign, connections, messages) as processes:
                if processes:
                    await send_in_processes(run, campaign, processes)
                else:
                    await send_connections(run, campaign, [*connections.values()])
            used = seconds_used() - before
            report = await asyncio.to_thread(run.report)
        finally:
            await run.close()
    return {"sent": report.sent_now, "cpu": used}


def measure(kind: str, servers: int, count: int, messages: int, *, pin: bool) -> dict[str, Any]:
    """Send one campaign by so many processes."""
    recipients_file(messages)
    with (
        database(kind) as url,
        tempfile.TemporaryDirectory(prefix="mailsluice-bench-") as home,
        sinks(servers, default_kind()) as there,
    ):
        if pin:
            for sink, core in zip(there, _cores(), strict=False):
                os.sched_setaffinity(sink.pid, {core})
        command = module("benchmarks.cores", "--work", url, "--home", home, "--messages", messages)
        command += ["--processes", str(count), "--ports", *(str(sink.port) for sink in there)]
        told = run_json(command, {"MAILSLUICE_HOME": home})
        wait_for(there, messages)
        per_second = rate(there)
    if told["sent"] != messages:
        raise BenchmarkError(f"{told['sent']} of {messages} messages were sent")
    return {
        "database": kind,
        "servers": servers,
        "processes": count,
        "messages": messages,
        "per_second": per_second,
        "cpu_us": told["cpu"] * 1e6 / messages,
    }


def _cores() -> Iterator[int]:
    while True:
        yield from sorted(os.sched_getaffinity(0))


def tables(section: dict[str, Any]) -> str:
    """Format a markdown table with the medians of the repetitions, and the model."""
    measured = section["measured"]
    keys = list(dict.fromkeys((one["database"], one["servers"]) for one in measured))
    rows, models = [], []
    for kind, servers in keys:
        here = [one for one in measured if (one["database"], one["servers"]) == (kind, servers)]
        rates, used = _medians(here, "per_second"), _medians(here, "cpu_us")
        alone = rates[min(rates)]
        for count, pace in rates.items():
            times = f"{pace / alone:.2f}"
            rows.append([kind, servers, count, f"{pace:,.0f}", times, f"{used[count]:.0f} us"])
        if {1, 2} <= set(rates):
            models.append(_model(kind, servers, rates))
    head = ["database", "connections", "processes", "mails/s", "times", "processor a mail"]
    return "\n\n".join([results.table(head, rows), *models])


def _medians(measured: list[dict[str, Any]], figure: str) -> dict[int, float]:
    counts = sorted({one["processes"] for one in measured})
    return {
        count: median(one[figure] for one in measured if one["processes"] == count)
        for count in counts
    }


def _model(kind: str, servers: int, rates: dict[int, float]) -> str:
    """Amdahl's law through one and two processes."""
    serial = min(1.0, max(0.0, 2 * rates[1] / rates[2] - 1))
    times = ", ".join(f"{n}: {1 / (serial + (1 - serial) / n):.1f}" for n in _MODEL)
    return (
        f"{kind}, {servers} connections: computed from one and two processes, {serial:.0%} of the"
        f" time is not divided; with so many processes the rate would be times {times}."
    )


def run(*, processes: list[int], servers: list[int], messages: int, repeat: int, pin: bool) -> None:
    """Measure, print and save."""
    before, measured = results.machine(), []
    for _ in range(repeat):
        for kind in KINDS:
            for number in servers:
                measured += [measure(kind, number, count, messages, pin=pin) for count in processes]
    print(f"{tables({'measured': measured})}\n", flush=True)
    results.save("cores", before, measured=measured)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cores", description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--servers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--pin", action="store_true", help="give each server one core")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--home", help=argparse.SUPPRESS)
    parser.add_argument("--ports", type=int, nargs="+", help=argparse.SUPPRESS)
    given = vars(parser.parse_args())
    url, home, ports = given.pop("work"), given.pop("home"), given.pop("ports")
    if url:
        (count,) = given["processes"]
        print(json.dumps(asyncio.run(work(url, home, ports, count, given["messages"]))))
    else:
        run(**given)


if __name__ == "__main__":
    main()
