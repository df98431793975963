"""Measure how late a campaign with lending ends, against what the limits allow.

Two connections have half of the recipients each: one may send 60 a minute, the other 3,600. The
optimum is the time in which both limits together let all messages start. Give enough recipients:
nothing is lent in the first minute.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mailsluice.campaign import Campaign
from mailsluice.delivery import CampaignRun
from mailsluice.operations.processes import processes_of
from mailsluice.operations.send import prepare, send_connections, send_in_processes, today
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Database
from tests.smtpd import SmtpServer

_PER_MINUTE = {"slow": 60, "fast": 3_600}


def _campaign(folder: Path, recipients: int, processes: int) -> Campaign:
    csv = folder / "recipients.csv"
    csv.write_text("email\n" + "".join(f"user{i}@example.com\n" for i in range(recipients)))
    return Campaign.model_validate(
        {
            "name": "lending",
            "recipients": {"path": str(csv)},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": "percentage",
            "routes": [{"connection": name, "percent": 50} for name in _PER_MINUTE],
            "lend": True,
            "max_shift_percent": 100,
            "processes": processes,
        }
    )


async def _send(
    run: CampaignRun, document: Campaign, connections: Mapping[str, Connection]
) -> None:
    await asyncio.to_thread(run.count)
    recipients = (await run.progress()).tally.assigned
    async with processes_of(run, document, connections, recipients) as processes:
        if processes:
            await send_in_processes(run, document, processes)
        else:
            await send_connections(run, document, list(connections.values()))


async def _measured(folder: Path, url: str | None, recipients: int, processes: int) -> None:
    document = _campaign(folder, recipients, processes)
    with (
        Database(url or f"sqlite:///{folder / 'state.db'}") as database,
        SmtpServer() as slow,
        SmtpServer() as fast,
    ):
        servers = {"slow": slow, "fast": fast}
        connections = {
            name: Connection(
                name,
                server.host,
                server.port,
                Security.NONE,
                max_sessions=2,
                per_minute=_PER_MINUTE[name],
            )
            for name, server in servers.items()
        }
        run = await asyncio.to_thread(
            prepare, database, document, owner="bench", home=folder, day=today(document)
        )
        try:
            await _send(run, document, connections)
            moves = run.campaigns.moves(run.id)
        finally:
            await run.close()
    _print(servers, recipients, len(moves), sum(move.recipients for move in moves))


def _print(servers: Mapping[str, SmtpServer], recipients: int, batches: int, lent: int) -> None:
    times = [envelope.time for server in servers.values() for envelope in server.received]
    seconds, optimum = max(times) - min(times), 60 * recipients / sum(_PER_MINUTE.values())
    sent = {name: len(server.received) for name, server in servers.items()}
    twice = sum(number - 1 for server in servers.values() for number in server.recipients.values())
    print(
        f"{recipients:,} recipients: {seconds:.1f} s, optimum {optimum:.1f} s"
        f" ({seconds / optimum - 1:+.1%}); {lent:,} lent in {batches} batches; sent {sent};"
        f" {twice} twice"
    )


def main() -> None:
    """Measure, and print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=12_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--database", help="a URL; by default, SQLite in a new folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(
            _measured(Path(folder), arguments.database, arguments.recipients, arguments.processes)
        )


if __name__ == "__main__":
    main()
