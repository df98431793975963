"""Measure the message log: its pace, a look without news, and what it costs a campaign beside it.

`catch-up` writes the outcomes of one campaign into a file. `sending` sends campaigns to servers
that throw everything away, by turns with a log that follows and without, and gives the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

import pandas as pd
import sqlalchemy as sa

from benchmarks.databases import KINDS, database, server_seconds
from benchmarks.sinks import default_kind, sinks
from mailsluice.campaign import Campaign
from mailsluice.operations.message_log import AddressForm, FileOutput, Rotation
from mailsluice.operations.message_log.follower import Follower
from mailsluice.operations.message_log.writing import LOOK_SECONDS, open_log
from mailsluice.operations.send import send_async
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Campaigns, Database, Launches, RouteRecord
from mailsluice.store.schema import recipients

_CHUNK_ROWS = 50_000
_SESSIONS = 20
_IDLE_SECONDS = 60.0
_START_SECONDS = 15.0


def _store(opened: Database, name: str, number: int, sent: int) -> None:
    """Launch a campaign, and have so many of its recipients sent by one statement."""
    record = Campaigns(opened).register(name, {"message": {"sender": "news@example.com"}})
    Launches(opened).store_audience(record.id, _chunks(number), [])
    routes = [RouteRecord("a", "50", number - number // 2), RouteRecord("b", "50", number // 2)]
    Launches(opened).finish(
        record.id, read_rows=number, accepted=number, rejected={}, assigned=routes, digest=""
    )
    table = recipients.c
    first = sa.select(sa.func.min(table.id)).where(table.campaign_id == record.id)
    with opened.write() as transaction:
        lowest = transaction.execute(first).scalar_one()
        transaction.execute(
            sa.update(recipients)
            .where(table.id >= lowest, table.id < lowest + sent)
            .values(
                status="sent",
                attempts=1,
                code=250,
                reply="2.0.0 Ok: queued as 4F1A2B3C4D5E",
                settled_at=opened.now,
            )
        )


def _chunks(number: int) -> Iterator[pd.DataFrame]:
    for start in range(0, number, _CHUNK_ROWS):
        ids = range(start, min(start + _CHUNK_ROWS, number))
        yield pd.DataFrame(
            {
                "email": [f"user{i}@domain{i % 200}.example" for i in ids],
                "connection": ["ab"[i % 2] for i in ids],
                "variables": ['{"first_name":"Ann","city":"Lisbon"}'] * len(ids),
            }
        )


def catch_up(url: str, folder: Path, number: int) -> Iterator[str]:
    """Write a campaign of which half is sent, then look while nothing happens, then the rest."""
    with Database(url) as opened:
        _store(opened, "half", number, number // 2)
        with closing(FileOutput(folder / "log.ndjson", Rotation(1 << 40))) as output:
            log = open_log(opened, output, name="log", addresses=AddressForm.HASHED, since=0.0)
            yield _timed(opened, log, "half is sent")
            yield _idle(opened, log, f"{number // 2:,} pending")
            _store(opened, "all", number, number)
            yield _timed(opened, log, "all are sent")
            yield _idle(opened, log, "all are sent")
            size = (folder / "log.ndjson").stat().st_size
            yield f"{size / (number * 1.5):.0f} bytes a line"


def _idle(opened: Database, log: Follower, what: str) -> str:
    """Look for a minute, as a process that follows does, while nothing happens."""
    cost, looks, until = _Cost(opened), 0, time.monotonic() + _IDLE_SECONDS
    while time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
        log.look()
        looks += 1
    own, of_server = cost.seconds()
    return (
        f"{what}, a look without news: {own / looks * 1e3:.1f} ms of processor time here,"
        f" {of_server / looks * 1e3:.1f} ms at the server"
    )


class _Cost:
    """The processor time of this process and of the database's server from now on."""

    def __init__(self, opened: Database) -> None:
        self._opened = opened
        self._own, self._server = time.process_time(), self._of_server()

    def _of_server(self) -> float:
        return 0.0 if self._opened.is_sqlite else server_seconds(self._opened.engine)

    def seconds(self) -> tuple[float, float]:
        return time.process_time() - self._own, self._of_server() - self._server


def _timed(opened: Database, log: Follower, what: str) -> str:
    cost, began = _Cost(opened), time.monotonic()
    written = sum(log.look().written.values())
    wall = time.monotonic() - began
    own, of_server = cost.seconds()
    each = 1e6 / written
    return (
        f"{what}: {written:,} lines in {wall:.1f} s, {written / wall:,.0f} a second;"
        f" {own * each:.1f} us of processor time a line here, {of_server * each:.1f} us at the"
        " server"
    )


@contextmanager
def _following(url: str, folder: Path) -> Iterator[None]:
    """A process that follows, once it has written what happened before."""
    command = [sys.executable, "-m", "deployments.command", "message-log", "write"]
    command += ["--file", str(folder / "log.ndjson")]
    environment = {"MAILSLUICE_DATABASE_URL": url, "MAILSLUICE_HOME": str(folder)}
    environment["PATH"] = os.defpath
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([*command, "--follow"], env=environment) as process:
        try:
            time.sleep(_START_SECONDS)
            yield
        finally:
            process.terminate()


async def sending(url: str, folder: Path, number: int, turn: int, ports: Sequence[int]) -> float:
    """Send a campaign; returns messages a second, from the launch on."""
    csv = folder / "recipients.csv"
    if not csv.exists():
        csv.write_text("email\n" + "".join(f"u{i}@d{i % 200}.example\n" for i in range(number)))
    campaign = Campaign.model_validate(
        {
            "name": f"campaign {turn}",
            "recipients": {"path": str(csv)},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello" * 400},
            "routes": [
                {"connection": f"c{i}", "percent": 100 / len(ports)} for i in range(len(ports))
            ],
            "strategy": "percentage",
        }
    )
    reached = [
        Connection(f"c{i}", "127.0.0.1", port, Security.NONE, max_sessions=_SESSIONS // len(ports))
        for i, port in enumerate(ports)
    ]
    await send_async(campaign, reached, database=url)
    with Database(url) as opened, opened.read() as connection:
        mine = (
            recipients.c.campaign_id
            == sa.select(sa.func.max(recipients.c.campaign_id)).scalar_subquery()
        )
        times = sa.select(
            sa.func.min(recipients.c.settled_at), sa.func.max(recipients.c.settled_at)
        )
        first, last = connection.execute(times.where(mine)).one()
    return float(number / (last - first))


def compare(kind: str, number: int, repeat: int) -> str:
    """Send by turns with and without a log; returns a line of figures."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    costs: dict[bool, list[float]] = {False: [], True: []}
    with (
        database(kind) as url,
        tempfile.TemporaryDirectory() as name,
        sinks(2, default_kind()) as servers,
        Database(url) as opened,
    ):
        folder, ports = Path(name), [server.port for server in servers]
        for turn in range(2 * repeat):
            with_log = bool(turn % 2)
            before = 0.0 if opened.is_sqlite else server_seconds(opened.engine)
            if with_log:
                with _following(url, folder):
                    rate = asyncio.run(sending(url, folder, number, turn, ports))
            else:
                rate = asyncio.run(sending(url, folder, number, turn, ports))
            after = 0.0 if opened.is_sqlite else server_seconds(opened.engine)
            rates[with_log].append(rate)
            costs[with_log].append((after - before) / number * 1e6)
    return "; ".join(
        f"{'with' if with_log else 'without'} a log {median(rates[with_log]):,.0f} messages/s,"
        f" {median(costs[with_log]):.0f} us a message at the database's server"
        for with_log in (False, True)
    )


def main() -> None:
    """Measure, and print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("what", choices=("catch-up", "sending"))
    arguments = parser.parse_args()
    for kind in KINDS:
        if arguments.what == "sending":
            print(f"{kind}: {compare(kind, arguments.recipients, arguments.repeat)}", flush=True)
            continue
        with database(kind) as url, tempfile.TemporaryDirectory() as name:
            for line in catch_up(url, Path(name), arguments.recipients):
                print(f"{kind}: {line}", flush=True)


if __name__ == "__main__":
    main()
