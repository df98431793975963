"""Measure what mailbox providers cost: the launch with its look-ups, and sending with their limits.

The recipients are at many domains with a realistic mix of providers. A name server on loopback has
the domains' MX records. The limits are so high that they never bind, so that the difference is what
they cost. Ways to launch and to send alternate, so that all meet the same load; each is measured in
a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import document, provider_mix, results
from benchmarks.databases import database
from benchmarks.processes import module, peak_mb, run_json
from benchmarks.resolve import launched
from benchmarks.sinks import default_kind, rate, sinks, wait_for
from tests.dns_server import DnsServer, dns_server

_SHORT = 700
"""Bytes of the message."""
_SESSIONS = 20
_HIGH = 20_000
"""Messages a second to a provider: more than a process sends to it."""
_LARGEST = ("google", "microsoft-consumer", "yahoo")
_THREE = [{"provider": name, "per_second": _HIGH} for name in _LARGEST]
LAUNCHES: Mapping[str, Mapping[str, str]] = {
    "without look-ups": {"resolve": "off"},
    "every domain looked up": {"resolve": "mx"},
    "every domain cached": {"resolve": "mx"},
}
"""In this order; the last finds the answers of the one before in the database."""
SENDERS: Mapping[str, Mapping[str, Any]] = {
    "without limits": {},
    "a limit of the campaign": {"throttle": {"per_second": 4 * _HIGH}},
    "limits of three providers": {"per_provider": _THREE},
    "a limit of every provider": {"per_provider": [{"provider": "*", "per_second": _HIGH}]},
}


def launches(recipients: int, domains: int, repeat: int) -> dict[str, list[dict[str, float]]]:
    """Launch on a new SQLite database in each way; the figures by way."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in LAUNCHES}
    with name_server(domains) as (server, environment):
        for _ in range(repeat):
            with database("SQLite") as url:
                for way, fields in LAUNCHES.items():
                    server.questions.clear()
                    task = _task(way, url, recipients, domains, fields)
                    runs[way].append(_child("launch", task, environment))
                    runs[way][-1]["questions"] = server.questions.total()
    return runs


def sending(recipients: int, domains: int, repeat: int) -> dict[str, list[dict[str, float]]]:
    """Send by the engine alone over two connections; the figures by limits."""
    runs: dict[str, list[dict[str, float]]] = {limits: [] for limits in SENDERS}
    with name_server(domains) as (_, environment):
        for _ in range(repeat):
            for limits, fields in SENDERS.items():
                with database("SQLite") as url, sinks(2, default_kind()) as servers:
                    given = {"resolve": "mx", **fields}
                    task = _task(limits, url, recipients, domains, given)
                    task["ports"] = [server.port for server in servers]
                    figures = _child("send", task, environment)
                    wait_for(servers, recipients)
                    runs[limits].append({**figures, "per_second": rate(servers)})
    return runs


@contextmanager
def name_server(domains: int) -> Iterator[tuple[DnsServer, dict[str, str]]]:
    """Run a name server; yields it with the environment of processes that ask it."""
    with dns_server(provider_mix.Mix(domains).zone()) as server:
        yield server, {"MAILSLUICE_NAMESERVERS": f"127.0.0.1:{server.port}"}


def _task(
    name: str, url: str, recipients: int, domains: int, fields: Mapping[str, Any]
) -> dict[str, Any]:
    campaign = document.campaign(name, recipients, _SHORT, ["smtp-a", "smtp-b"])
    campaign["recipients"] = {"path": str(provider_mix.recipients_file(recipients, domains))}
    return {"url": url, "campaign": {**campaign, **fields}}


def _child(part: str, task: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, float]:
    command = module("benchmarks.mailbox_providers", "--child", part, json.dumps(task))
    return dict(run_json(command, environment))


def launch_once(task: Mapping[str, Any]) -> dict[str, float]:
    """Launch a campaign in this process."""
    from mailsluice.campaign import Campaign

    return launched(Campaign(**task["campaign"]), task["url"])


def send_once(task: Mapping[str, Any]) -> dict[str, float]:
    """Launch and send a campaign in this process; the figures are those of sending."""
    from mailsluice.campaign import Campaign
    from mailsluice.operations.send import prepare, send_connections
    from mailsluice.smtp.connection import Connection, Security
    from mailsluice.store import Database

    campaign = Campaign(**task["campaign"])
    connections = [
        Connection(route.connection, "127.0.0.1", port, Security.NONE, max_sessions=_SESSIONS // 2)
        for route, port in zip(campaign.routes, task["ports"], strict=True)
    ]
    with Database(task["url"]) as opened:
        home = Path(task["url"].removeprefix("sqlite:///")).parent
        run = prepare(opened, campaign, owner="bench", home=home, day=document.DAY)
        begun, began = time.process_time(), time.monotonic()

        async def sent() -> int:
            try:
                await send_connections(run, campaign, connections)
                return (await asyncio.to_thread(run.report)).sent_now
            finally:
                await run.close()

        messages = asyncio.run(sent())
        return {
            "sent": messages,
            "cpu_us": (time.process_time() - begun) / messages * 1e6,
            "seconds": time.monotonic() - began,
            "peak_mb": peak_mb(),
        }


_CHILDREN: Mapping[str, Callable[[Mapping[str, Any]], dict[str, float]]] = {
    "launch": launch_once,
    "send": send_once,
}


def tables(section: dict[str, Any]) -> str:
    """Format markdown tables; ratios are to the first row."""
    what = f"{section['recipients']:,} recipients at {section['domains']:,} domains"
    rows = []
    for way, runs in section["launches"].items():
        one = _medians(runs)
        first = _medians(next(iter(section["launches"].values())))
        rows.append(
            [
                way,
                f"{one['seconds']:.2f} s",
                f"{one['processor_seconds']:.2f} s",
                f"{one['processor_seconds'] / first['processor_seconds']:.2f}",
                f"{one['peak_mb']:,.0f} MB",
                f"{one['questions']:,.0f}",
            ]
        )
    launching = results.table(
        [f"launch of {what}", "time", "processor", "ratio", "memory", "questions"], rows
    )
    rows = []
    for limits, runs in section["sending"].items():
        one, first = _medians(runs), _medians(next(iter(section["sending"].values())))
        rows.append(
            [
                limits,
                f"{one['per_second']:,.0f}",
                f"{one['per_second'] / first['per_second']:.3f}",
                f"{one['cpu_us']:.1f} us",
                f"{one['cpu_us'] / first['cpu_us']:.3f}",
                f"{one['peak_mb']:,.0f} MB",
            ]
        )
    head = ["sending to them", "messages/s", "ratio", "processor a message", "ratio", "memory"]
    return f"{launching}\n\n{results.table(head, rows)}"


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(run[name] for run in runs) for name in runs[0]}


def run(*, recipients: int, domains: int, repeat: int) -> None:
    """Measure, print and save."""
    before = results.machine()
    measured = {
        "recipients": recipients,
        "domains": domains,
        "launches": launches(recipients, domains, repeat),
        "sending": sending(recipients, domains, repeat),
    }
    print(tables(measured), flush=True)
    results.save("mailbox_providers", before, **measured)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.mailbox_providers", description=__doc__
    )
    parser.add_argument("--recipients", type=int, default=50_000)
    parser.add_argument("--domains", type=int, default=2_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument(
        "--large", action="store_true", help="10^6 recipients at 20,000 domains instead"
    )
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        part, task = arguments.child
        print("\n" + json.dumps(_CHILDREN[part](json.loads(task))))
    elif arguments.large:
        run(recipients=1_000_000, domains=20_000, repeat=arguments.repeat)
    else:
        run(recipients=arguments.recipients, domains=arguments.domains, repeat=arguments.repeat)
