"""A campaign on the engine, without Prefect: real SMTP servers, a real state database."""

from __future__ import annotations

import asyncio
import multiprocessing
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mailsluice.campaign import Campaign, Retry
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.connection_state import SenderSettings
from mailsluice.delivery.failover import Condition
from mailsluice.delivery.session_pool import OpenSession
from mailsluice.operations import launch
from mailsluice.operations.send import prepare
from mailsluice.reports.campaign import Report
from mailsluice.smtp.connection import Connection, Security
from mailsluice.store import Database
from mailsluice.store.schema import attempts, campaigns, recipients
from tests.smtpd import SmtpServer

QUICK = Retry(max_attempts=3, first_delay_seconds=0.2, max_delay_seconds=0.2)
TOMORROW = Retry(first_delay_seconds=86_400, max_delay_seconds=86_400)
"""For tests that assert who is deferred: no retry comes due while they run."""
BREAKER = BreakerSettings(
    failures=4, first_delay_seconds=0.01, max_delay_seconds=0.05, rest_seconds=0.1, probes=2
)
NEVER_SECONDS = 600.0
"""How long a reply is waited for, also at a stop: a test that gets none fails before."""


def processes() -> ForkServerContext:
    """Starts processes that have nothing of the test's own in memory, and all imports ready."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def connection(name: str, server: SmtpServer, **fields: Any) -> Connection:
    """The connection that reaches a test server."""
    defaults: dict[str, Any] = {
        "security": Security.NONE,
        "local_hostname": "client.example",
        "timeout_seconds": NEVER_SECONDS,
        "max_sessions": 2,
    }
    return Connection(name, server.host, server.port, **{**defaults, **fields})


def people(number: int, domain: str = "example.com") -> list[str]:
    """Valid addresses."""
    return [f"user{i}@{domain}" for i in range(number)]


def campaign(
    folder: Path, emails: Sequence[str], names: Sequence[str] = ("red",), **fields: Any
) -> Campaign:
    """A round robin with batches of one recipient over these connections."""
    csv = folder / "recipients.csv"
    csv.write_text("email\n" + "".join(f"{email}\n" for email in emails))
    return Campaign.model_validate(
        {
            "name": "spring-sale",
            "recipients": {"path": str(csv)},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello {{ email }}"},
            "strategy": "single" if len(names) == 1 else "round_robin",
            "routes": [{"connection": name} for name in names],
            "batch_size": 1,
            "retry": QUICK,
            **fields,
        }
    )


@dataclass
class Row:
    """One recipient, as stored."""

    status: str
    code: int | None
    attempts: int
    connection: str
    next_attempt_at: float | None
    history: list[tuple[str, str, int | None]] = field(default_factory=list)
    """(phase, verdict, code) of each attempt that was not accepted at once."""


class Ledger:
    """Reads the state database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self) -> dict[str, Row]:
        """Every recipient by address."""
        kept = recipients.c
        columns = (kept.status, kept.code, kept.attempts, kept.connection, kept.next_attempt_at)
        history = sa.select(
            attempts.c.recipient_id, attempts.c.phase, attempts.c.verdict, attempts.c.code
        ).order_by(attempts.c.id)
        with self._database.read() as reader:
            found = {
                row.id: (row.email, Row(*row[2:]))
                for row in reader.execute(sa.select(kept.id, kept.email, *columns))
            }
            for recipient, phase, verdict, code in reader.execute(history):
                found[recipient][1].history.append((phase, verdict, code))
        return dict(found.values())

    def states(self) -> Counter[str]:
        """Recipients by state."""
        return Counter(row.status for row in self.rows().values())

    def update(self, **values: Any) -> None:
        """Change the campaign's row, unnoticed by running processes."""
        with self._database.write() as writer:
            writer.execute(sa.update(campaigns).values(**values))


@dataclass
class Sender:
    """Runs campaigns the way the flow does."""

    database: Database
    home: Path
    settings: SenderSettings | None = None
    day: date = date(2026, 1, 5)
    """That the runs are scheduled for."""
    warm_ups: Mapping[str, WarmUp] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.database)

    def prepare(self, document: Campaign, owner: str = "first run") -> CampaignRun:
        """Make a run that may send: recipients stored, each with its connection."""
        return prepare(
            self.database,
            document,
            owner=owner,
            home=self.home,
            day=self.day,
            warm_ups=self.warm_ups,
        )

    async def send(
        self, document: Campaign, connections: Sequence[Connection], owner: str = "first run"
    ) -> Report:
        """Send the campaign until nothing is left that can be sent."""
        run = await asyncio.to_thread(self.prepare, document, owner)
        try:
            return await self.send_prepared(run, document, connections)
        finally:
            await run.close()

    async def send_prepared(
        self,
        run: CampaignRun,
        document: Campaign,
        connections: Sequence[Connection],
        open_session: OpenSession | None = None,
    ) -> Report:
        """Send over all connections at once, then check that nobody is missing."""
        identities = launch.identities(document, connections)
        messages = launch.messages(
            document, run.outbox.columns(), identities, run.record.return_key
        )
        settings = self.settings or SenderSettings(
            document.retry, document.uncertain, BREAKER, NEVER_SECONDS
        )
        await asyncio.gather(
            *(
                run.send(
                    target, messages[target.name], settings=settings, open_session=open_session
                )
                for target in connections
            )
        )
        report = await asyncio.to_thread(run.report)
        assert run.outbox.counts().is_conserved
        return report


def gives_up(run: CampaignRun, name: str) -> set[str]:
    """Have a connection go down while nothing is sent; returns who took its recipients over."""
    routes = run.campaigns.routes(run.id)
    conditions = {route.connection: Condition() for route in routes}
    conditions[name] = Condition(is_over=True, down="gone")
    return set(run.hand_over(name, run.takers(name, conditions)))


def everybody_once(ledger: Ledger, servers: Mapping[str, SmtpServer]) -> None:
    """Check that each recipient got one message, from its own connection's server."""
    rows = ledger.rows()
    for name, server in servers.items():
        mine = Counter(email for email, row in rows.items() if row.connection == name)
        assert server.recipients == mine
    assert {row.status for row in rows.values()} == {"sent"}


def lock(path: str) -> sqlite3.Connection:
    """Take SQLite's write lock until the connection is closed."""
    holder = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    return holder
