"""Measure the strategy `throughput`: when a campaign ends, and what a claim from the pool costs.

`ends` sends over two connections with limits a minute to recording servers, and compares the last
message with what arithmetic allows. `claims` claims and settles all recipients of a campaign, as
assigned and from the pool, and gives the processor time of this process and of the database's.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

from benchmarks.databases import KINDS, NO_QUERIES, database, server_seconds
from mailsluice.campaign import Campaign
from mailsluice.core.status import RecipientStatus
from mailsluice.operations import launch
from mailsluice.operations.send import send_async
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Campaigns, Database, Outbox, Settled
from tests.smtpd import SmtpServer

_NAMES = ("red", "green")
_CLAIM_ROWS = 1_200


def _campaign(folder: Path, recipients: int, strategy: str) -> Campaign:
    csv = folder / "recipients.csv"
    rows = (f"user{i}@domain{i % 5}.example\n" for i in range(recipients))
    csv.write_text("email\n" + "".join(rows))
    return Campaign.model_validate(
        {
            "name": f"{strategy} {recipients}",
            "recipients": {"path": str(csv)},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": strategy,
            "routes": [{"connection": name} for name in _NAMES],
        }
    )


async def ends(url: str, folder: Path, seconds: float, paces: tuple[int, int]) -> str:
    """Send for about so many seconds at these paces a minute; returns a line of figures."""
    recipients = round(seconds * sum(paces) / 60)
    document = _campaign(folder, recipients, "throughput")
    with SmtpServer() as red, SmtpServer() as green:
        servers = dict(zip(_NAMES, (red, green), strict=True))
        reached = [
            Connection(name, server.host, server.port, Security.NONE, per_minute=pace)
            for (name, server), pace in zip(servers.items(), paces, strict=True)
        ]
        await send_async(document, reached, database=url)
        times = sorted(one.time for server in servers.values() for one in server.received)
        domains = Counter(
            (name, address.rpartition("@")[2])
            for name, server in servers.items()
            for address in server.recipients
        )
    taken, optimum = times[-1] - times[0], (recipients - len(paces)) / sum(paces) * 60
    share = len(red.received) / recipients
    worst = max(
        abs(number / sum(domains[other, domain] for other in _NAMES) - share)
        for (name, domain), number in domains.items()
        if name == "red"
    )
    return (
        f"{recipients:,} recipients in {taken:.2f} s, optimum {optimum:.2f} s"
        f" ({taken / optimum - 1:+.1%}); red has {share:.1%} (by capacity"
        f" {paces[0] / sum(paces):.1%}), the domain that differs most by {worst:.1%}"
    )


def claims(url: str, folder: Path, recipients: int, strategy: str) -> str:
    """Claim and settle everybody, by turns over both connections; returns a line of figures."""
    document = _campaign(folder, recipients, strategy)
    with Database(url) as opened:
        record = Campaigns(opened).register(document.name, launch.content(document))
        occasion = launch.Occasion(date(2026, 1, 5), datetime(2026, 1, 5, tzinfo=UTC))
        with launch.resolve_audience(document, opened, NO_QUERIES) as audience:
            launch.store_audience(opened, record.id, document, audience, occasion)
        outbox = Outbox(opened, record.id)
        of_server = 0.0 if opened.is_sqlite else server_seconds(opened.engine)
        own, began = time.process_time(), time.monotonic()
        _send_all(opened, outbox, is_pooled=strategy == "throughput")
        own, wall = time.process_time() - own, time.monotonic() - began
        of_server = 0.0 if opened.is_sqlite else server_seconds(opened.engine) - of_server
        assert outbox.counts().of(RecipientStatus.SENT) == recipients
    each = 1e6 / recipients
    return (
        f"{strategy}: {own * each:.2f} us of processor time a recipient here,"
        f" {of_server * each:.2f} us at the server, {wall:.1f} s"
    )


def _send_all(opened: Database, outbox: Outbox, *, is_pooled: bool) -> None:
    after, pool_after, left = dict.fromkeys(_NAMES, 0), 0, set(_NAMES)
    while left:
        for name in sorted(left):
            with opened.write() as transaction:
                if is_pooled:
                    rows = outbox.claim_from_pool(transaction, name, _CLAIM_ROWS, pool_after)
                    pool_after = max([pool_after, *(row.id for row in rows)])
                else:
                    rows = outbox.claim(transaction, name, _CLAIM_ROWS, after[name])
                    after[name] = max([after[name], *(row.id for row in rows)])
            if not rows:
                left.discard(name)
                continue
            with opened.write() as transaction:
                sent = RecipientStatus.SENT
                outbox.settle(
                    transaction, [Settled(row.id, sent, 1, 250, "2.0.0 Ok") for row in rows]
                )


def main() -> None:
    """Measure, and print a line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="the length of a campaign")
    parser.add_argument("--recipients", type=int, default=200_000, help="those that are claimed")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("what", choices=("ends", "claims"))
    arguments = parser.parse_args()
    for kind in KINDS:
        for _ in range(arguments.repeat):
            with database(kind) as url, tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                if arguments.what == "ends":
                    line = asyncio.run(ends(url, folder, arguments.seconds, (600, 300)))
                    print(f"{kind}: {line}", flush=True)
                    continue
                for strategy in ("round_robin", "throughput"):
                    line = claims(url, folder, arguments.recipients, strategy)
                    print(f"{kind}, {line}", flush=True)


if __name__ == "__main__":
    main()
