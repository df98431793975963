"""Measure the time from a connection's going down to its first recipient's mail elsewhere.

Two connections share a campaign. The server of the first one refuses all mail after some messages;
the second one has finished by then, so its next message is a recipient that has moved. The clock
starts when the first connection is given up, and also says when the last recipient had moved.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from mailsluice.campaign import Campaign
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.health import ConnectionHealth
from mailsluice.operations.send import prepare, send_connections, today
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Database
from tests.eventually import eventually_async
from tests.smtpd import Settings, SmtpServer
from tests.smtpd.faults import Everybody, Fault, Stage

_BEFORE = 20
_SUSPENDED = Fault(Stage.MAIL, b"550 5.7.1 your account is suspended")
_BUSY_PERCENT = 1


class Times(NamedTuple):
    """Seconds since the connection was given up."""

    first_mail: float
    all_moved: float


def _campaign(folder: Path, recipients: int) -> Campaign:
    csv = folder / "recipients.csv"
    csv.write_text("email\n" + "".join(f"user{i}@example.com\n" for i in range(recipients)))
    return Campaign.model_validate(
        {
            "name": "failover",
            "recipients": {"path": str(csv)},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": "percentage",
            "routes": [
                {"connection": "red", "percent": 100 - _BUSY_PERCENT},
                {"connection": "green", "percent": _BUSY_PERCENT},
            ],
            "on_connection_down": "reassign",
        }
    )


async def _measured(folder: Path, url: str | None, recipients: int) -> Times:
    given_up: list[float] = []
    health_failed = ConnectionHealth.failed

    def failed(self: ConnectionHealth, *arguments: object) -> None:
        health_failed(self, *arguments)  # type: ignore[arg-type]
        if self.down and not given_up:
            given_up.append(time.monotonic())

    ConnectionHealth.failed = failed  # type: ignore[method-assign, assignment]
    document = _campaign(folder, recipients)
    refusing = Settings(everybody=Everybody(_BEFORE + 1, _SUSPENDED))
    try:
        with (
            Database(url or f"sqlite:///{folder / 'state.db'}") as database,
            SmtpServer(refusing) as red,
            SmtpServer() as green,
        ):
            red.hold(after=_BEFORE)
            run = await asyncio.to_thread(
                prepare, database, document, owner="bench", home=folder, day=today(document)
            )
            try:
                await asyncio.to_thread(run.count)
                return await _failed_over(run, document, {"red": red, "green": green}, given_up)
            finally:
                await run.close()
    finally:
        ConnectionHealth.failed = health_failed  # type: ignore[method-assign]


async def _failed_over(
    run: CampaignRun, document: Campaign, servers: dict[str, SmtpServer], given_up: list[float]
) -> Times:
    connections = [
        Connection(name, server.host, server.port, Security.NONE, max_sessions=1)
        for name, server in servers.items()
    ]
    green = servers["green"]
    progress = await run.progress()
    recipients, own = progress.tally.assigned, progress.standings[1].tally.assigned
    sending = asyncio.ensure_future(send_connections(run, document, connections))
    await eventually_async(lambda: len(green.received), lambda number: number == own)
    servers["red"].release()
    await eventually_async(lambda: len(green.received), lambda number: number > own)
    await eventually_async(
        lambda: sum(move.recipients for move in run.campaigns.moves(run.id)),
        lambda moved: moved >= recipients - own - _BEFORE - 2,  # one may be on its way
    )
    moved_at = time.monotonic()
    run.stop()
    await sending
    return Times(green.received[own].time - given_up[0], moved_at - given_up[0])


def main() -> None:
    """Measure, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, nargs="*", default=[1_000, 100_000])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--database", help="a URL; by default, SQLite in a new folder")
    arguments = parser.parse_args()
    for recipients in arguments.recipients:
        times = []
        for _ in range(arguments.repeat):
            with tempfile.TemporaryDirectory() as folder:
                times.append(asyncio.run(_measured(Path(folder), arguments.database, recipients)))
        first, last = (median(values) for values in zip(*times, strict=True))
        print(f"{recipients:,} recipients: first mail {first:.2f} s, all moved {last:.2f} s")


if __name__ == "__main__":
    main()
