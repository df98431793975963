"""Measure what a provider's header fields cost, against the same message without them.

The processor time of rendering a short message, with each provider in turn, and with unsubscribe
links; then that of the whole
process that sends a campaign over loopback, and the rate at the server. Runs with and without the
fields alternate, so that both meet the same load.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import document, results
from benchmarks.sinks import default_kind, sinks
from mailsluice.campaign import Campaign, Message, Provider, SenderIdentity
from mailsluice.message import CompiledMessage, compile_message, new_key
from mailsluice.operations.send import prepare, send_connections
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Database

_SHORT = 700
"""Bytes of the message."""
_SESSIONS = 20
_LINKS = {
    "one_click_url": "https://events.example.com",
    "unsubscribe_mailbox": "unsubscribe@example.com",
}
_NOW = datetime(2026, 1, 5, tzinfo=UTC)


def rendering(messages: int, repeat: int) -> dict[str, float]:
    """Microseconds of processor time that a message takes to render, by identity; the least."""
    compiled = {provider.value: _compiled(provider=provider) for provider in Provider}
    compiled |= {"unsubscribe links": _compiled(**_LINKS)}
    times: dict[str, list[float]] = {name: [] for name in compiled}
    for _ in range(repeat):
        for name, message in compiled.items():
            begun = time.thread_time()
            for number in range(messages):
                message.render(number, "user@example.com", document.SAMPLE)
            times[name].append((time.thread_time() - begun) / messages * 1e6)
    return {name: min(each) for name, each in times.items()}


def _compiled(**identity: Any) -> CompiledMessage:
    return compile_message(
        Message(**document.message(_SHORT)),
        campaign="identities",
        columns=document.COLUMNS,
        now=lambda: _NOW,
        return_key=new_key(),
        identity=SenderIdentity(**identity),
    )


def sending(messages: int, repeat: int) -> dict[str, dict[str, float]]:
    """The median processor time a message (microseconds), and rate, by provider."""
    names = (Provider.NONE.value, Provider.SENDGRID.value)
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number in range(repeat):
        for name in names:
            runs[name].append(_send(f"identities-{number}-{name}", Provider(name), messages))
    return {
        name: {
            "cpu_us": median(cpu for cpu, _ in each),
            "per_second": median(rate for _, rate in each),
        }
        for name, each in runs.items()
    }


def _send(name: str, provider: Provider, messages: int) -> tuple[float, float]:
    campaign = Campaign(**document.campaign(name, messages, _SHORT, ["one"]))
    with (
        sinks(1, default_kind()) as (sink,),
        tempfile.TemporaryDirectory() as folder,
        Database(f"sqlite:///{folder}/state.db") as database,
    ):
        connection = Connection(
            "one",
            "127.0.0.1",
            sink.port,
            Security.NONE,
            max_sessions=_SESSIONS,
            identity=SenderIdentity(provider=provider),
        )
        run = prepare(database, campaign, owner="bench", home=Path(folder), day=document.DAY)
        begun = time.process_time()
        asyncio.run(_sent(run, campaign, connection))
        return (time.process_time() - begun) / messages * 1e6, sink.per_second


async def _sent(run: Any, campaign: Campaign, connection: Connection) -> None:
    try:
        await send_connections(run, campaign, [connection])
    finally:
        await run.close()


def tables(section: dict[str, Any]) -> str:
    """Format markdown tables."""
    least = section["rendering"]
    rows = [[name, f"{us:.2f}", f"{us / least['none']:.3f}"] for name, us in least.items()]
    rendered = results.table(["rendering with", "us", "ratio"], rows)
    none = section["sending"]["none"]
    rows = [
        [
            name,
            f"{one['cpu_us']:.1f}",
            f"{one['cpu_us'] / none['cpu_us']:.3f}",
            f"{one['per_second']:,.0f}",
            f"{one['per_second'] / none['per_second']:.3f}",
        ]
        for name, one in section["sending"].items()
    ]
    return f"{rendered}\n\n" + results.table(
        ["sending with", "us", "ratio", "messages/s", "ratio"], rows
    )


def run(*, messages: int, repeat: int) -> None:
    """Measure, print and save."""
    before = results.machine()
    measured = {
        "rendering": rendering(4_000, 3 * repeat),
        "sending": sending(messages, repeat),
    }
    print(tables(measured), flush=True)
    results.save("identities", before, **measured)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.identities", description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=5)
    run(**vars(parser.parse_args()))
