"""Send over connections of a campaign in one process, with one engine, store thread and journal."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from mailsluice.campaign import Campaign, SendingWindow, Strategy
from mailsluice.core.steady import steady
from mailsluice.delivery.connection_sender import ConnectionSender
from mailsluice.delivery.connection_state import SenderContext, SenderSettings
from mailsluice.delivery.engine import Engine
from mailsluice.delivery.group_commit import MayClaim, Peers
from mailsluice.delivery.handovers import Handovers
from mailsluice.delivery.journal import Journal
from mailsluice.delivery.opening_hours import OpeningHours
from mailsluice.delivery.pool import Pool, Turns
from mailsluice.delivery.progress_tracker import ProgressTracker
from mailsluice.delivery.recipient_hours import RecipientHours
from mailsluice.delivery.rule_book import ConnectionRules, RuleBook
from mailsluice.delivery.session_pool import OpenSession
from mailsluice.delivery.store_thread import StoreThread
from mailsluice.message import CompiledMessage
from mailsluice.oauth.tokens import Tokens
from mailsluice.reports.progress import ConnectionFacts, Finish, Progress
from mailsluice.smtp.connection import Connection, differences
from mailsluice.smtp.login import open_session
from mailsluice.stop_loss import Figures, Unit, add_figures
from mailsluice.store import Canaries, Database, Outbox, Zones

_POLL_SECONDS = 0.5

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class RouteResult:
    """How the sending of one connection ended."""

    connection: str
    seconds: float
    sent: int
    """Messages accepted in this run."""
    down: str | None
    """Why the connection went down; None where it worked to the end."""

    def summary(self) -> str:
        """Say in one line how much was sent."""
        return f"{self.sent:,} sent in {self.seconds:.1f} s"


class Run(ABC):
    """The common base of a campaign's run and of a sender's run."""

    def __init__(
        self,
        database: Database,
        campaign: Campaign,
        outbox: Outbox,
        journal: Journal,
        campaign_id: int,
        peers: Peers | None = None,
        may_claim: MayClaim | None = None,
        engine: Engine | None = None,
    ) -> None:
        """`engine` is one that the caller closes; by default the run makes and closes its own."""
        self.id = campaign_id
        """The id of the campaign."""
        self.outbox = outbox
        self._database = database
        self._campaign = campaign
        self._journal = journal
        self._peers = peers
        self._may_claim = may_claim
        self._engine = engine
        self._owns_engine = engine is None
        self._store: StoreThread | None = None
        self._connection_senders: dict[str, ConnectionSender] = {}
        self._connections: dict[str, Connection] = {}
        self._rules_of: dict[str, ConnectionRules] = {}
        """The connections and rules that the connection senders use now, by connection."""
        self._results: dict[str, RouteResult] = {}
        self._tracker = ProgressTracker(campaign.name)
        self._figures_before: dict[Unit, Figures] = {}
        """Counts of replies to connection senders that have ended."""
        self._held: frozenset[Unit] = frozenset()
        """The connections, and mailbox providers on connections, to which nothing is sent."""
        self.handovers: Handovers | None = None
        """The connections that may hand recipients over to others while they send."""
        self._stopping = False
        window = campaign.sending_window
        self._hours = OpeningHours(SendingWindow() if window.in_own_zones else window)
        self._recipient_hours: RecipientHours | None = None
        is_pooled = campaign.strategy is Strategy.THROUGHPUT
        self._pool = Pool() if is_pooled else None
        self._rule_book = RuleBook(
            database,
            campaign_id,
            campaign.throttle,
            campaign.per_provider,
            is_paced=campaign.is_paced,
            is_pooled=is_pooled,
        )
        self.tokens = Tokens(clock=steady)
        self.open_session: OpenSession = partial(open_session, tokens=self.tokens)
        """Opens a session; the sessions of one connection share an access token."""
        self.finish: Finish | None = None
        """Whether the campaign will be finished in time, where it has a finish time."""
        self._on_hold = False
        self.on_orders: Callable[[], None] = lambda: None
        """Called, from any thread, when the run is to stop, is put on hold, or goes on."""

    async def send(
        self,
        connection: Connection,
        message: CompiledMessage,
        *,
        settings: SenderSettings | None = None,
        open_session: OpenSession | None = None,
    ) -> RouteResult:
        """Send to the recipients of one connection, until none is left or `stop` is called."""
        try:
            rules = await asyncio.to_thread(self._rule_book.rules, connection)
            providers = await asyncio.to_thread(self._rule_book.providers)
            await asyncio.to_thread(self._read_zones)
            shares = await asyncio.to_thread(self._rule_book.shares) if self._pool else {}
            opening = open_session or self.open_session
            return await self.on_engine(
                self._send(connection, message, rules, providers, shares, settings, opening)
            )
        finally:
            self.sending_ended(connection.name)

    def sending_ended(self, name: str) -> None:
        """Note that nothing more is sent over a connection, or that sending failed to begin."""
        if self._engine and self.handovers:
            self._engine.call(self.handovers.end, name)

    def end_handovers(self) -> None:
        """Let connections end that wait for recipients of others."""
        if self._engine and self.handovers:
            self._engine.call(self.handovers.close)

    def _read_zones(self) -> None:
        """Read when each recipient may be sent to, where recipients have zones of their own."""
        window = self._campaign.sending_window
        if window.in_own_zones and self._recipient_hours is None:
            zones = Zones(self._database).of(self.id)
            self._recipient_hours = RecipientHours(window, zones)

    async def on_engine(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine on the loop that sends, where `open_session` is called as well."""
        engine = self._engine = self._engine or Engine()
        return await engine.run(work)

    async def _send(
        self,
        connection: Connection,
        message: CompiledMessage,
        rules: ConnectionRules,
        providers: Mapping[int, str],
        shares: Mapping[str, Decimal],
        settings: SenderSettings | None,
        open_session: OpenSession,
    ) -> RouteResult:
        if self._store is None:
            self._store = StoreThread(
                self._database,
                self.outbox,
                self._journal,
                self._peers,
                self._may_claim,
                Canaries(self._database, self.id),
                self._recipient_hours,
                Turns({name: float(share) for name, share in shares.items()}) if shares else None,
            )
        sender = ConnectionSender(
            connection,
            message,
            self._context(self._store),
            open_session=open_session,
            rules=rules,
            providers=providers,
            settings=settings or SenderSettings(self._campaign.retry, self._campaign.uncertain),
        )
        if ended := self._connection_senders.get(connection.name):
            add_figures(self._figures_before, ended.figures())
        self._connections[connection.name] = connection
        self._rules_of[connection.name] = rules
        self._connection_senders[connection.name] = sender
        self._tracker.watch(connection.name, sender)
        started = steady()
        if self._stopping:
            sender.stop()
        self._hold(sender, connection.name)
        if self.handovers:
            self.handovers.begin(connection.name, sender)
        await sender.run()
        seconds, sent = steady() - started, sender.sent
        if before := self._results.get(connection.name):  # recipients were moved to the connection
            seconds, sent = seconds + before.seconds, sent + before.sent
        result = RouteResult(connection.name, seconds, sent, sender.down)
        self._results[connection.name] = result
        return result

    def _context(self, store: StoreThread) -> SenderContext:
        is_open = self._recipient_hours.is_open if self._recipient_hours else None
        context = SenderContext(
            store, self._journal, self._opens_at, is_open=is_open, pool=self._pool
        )
        if self.handovers is None:
            return context
        receives, troubled = self.handovers.may_receive, self.handovers.troubled
        return replace(context, may_receive=receives, troubled=troubled)

    def _opens_at(self, now: float) -> float:
        """The first moment of the steady clock, `now` or later, at which mail may go at all."""
        if self._on_hold or not self._is_held():
            return now + _POLL_SECONDS
        return self._hours.opens_at(now)

    async def next_in(self) -> float:
        """Seconds until any connection has something to do; infinity: never."""
        return await self._engine.run(self._next_in()) if self._engine else 0.0

    async def _next_in(self) -> float:
        now = steady()
        return min(
            (sender.next_at(now) - now for sender in self._connection_senders.values()),
            default=0.0,
        )

    async def figures(self) -> dict[Unit, Figures]:
        """Count the replies in this process so far, by mailbox provider and connection."""
        return await self.on_engine(self._read_figures())

    async def _read_figures(self) -> dict[Unit, Figures]:
        return self._figures()

    def _figures(self) -> dict[Unit, Figures]:
        totals = dict(self._figures_before)
        for sender in self._connection_senders.values():
            add_figures(totals, sender.figures())
        return totals

    def hold(self, units: Iterable[Unit]) -> None:
        """Send nothing more to these parts of the campaign. Thread-safe."""
        held = self._held.union(units)
        if held != self._held:
            self._held = held
            if self._engine:
                self._engine.call(self._hold_all)

    def _hold_all(self) -> None:
        for name, sender in self._connection_senders.items():
            self._hold(sender, name)

    def _hold(self, sender: ConnectionSender, name: str) -> None:
        if Unit(name) in self._held:
            sender.hold_all()
            return
        for unit in self._held:
            if unit.connection == name and unit.provider is not None:
                sender.hold(unit.provider)

    async def progress(self) -> Progress:
        """The counts, and what each connection waits for, without a query."""
        return await self.on_engine(self._progress())

    async def _progress(self) -> Progress:
        now = steady()

        def complete(facts: ConnectionFacts) -> ConnectionFacts:
            return replace(
                facts,
                is_on_hold=self._on_hold,
                is_database_away=not self._is_held() or self._is_away(),
                opens_at=self._hours.opens_at(now),
            )

        progress = self._tracker.progress(complete, now, datetime.now(UTC))
        return replace(progress, finish=self.finish)

    def _is_away(self) -> bool:
        return self._store is not None and self._store.is_away

    async def update(self, connection: Connection) -> list[str]:
        """Use a connection's new settings, and the warm-up cap of a new day, from now on.

        Limits hold from the next message on, other settings from the next session on. Returns the
        changes, one line each without secrets; none where the connection does not send yet.
        """
        name = connection.name
        if self._engine is None or name not in self._connection_senders:
            return []
        changed = differences(self._connections[name], connection)
        if changed or connection.warm_up.start:
            await asyncio.to_thread(self._follow_rules, connection)
        return changed

    def _follow_rules(self, connection: Connection) -> None:
        """Have a connection's sender use the limits that hold now. Blocking."""
        name = connection.name
        rules = self._rule_book.rules(connection)
        if self._engine and (
            connection != self._connections[name] or rules != self._rules_of[name]
        ):
            self._connections[name], self._rules_of[name] = connection, rules
            self._engine.call(self._connection_senders[name].update, connection, rules)

    def sends_over(self, name: str) -> bool:
        """Whether the sending over a connection has begun, so that `update` changes it."""
        return name in self._connection_senders

    @property
    def database(self) -> Database:
        """The state database."""
        return self._database

    @property
    def database_url(self) -> str:
        """The URL of the state database, with its password."""
        return self._database.engine.url.render_as_string(hide_password=False)

    @property
    def on_hold(self) -> bool:
        """Whether to start no message for now; messages in flight finish."""
        return self._on_hold

    @on_hold.setter
    def on_hold(self, on_hold: bool) -> None:
        self._on_hold = on_hold
        self.on_orders()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping

    def stop(self) -> None:
        """Let messages in flight finish, then end. Thread-safe."""
        self._stopping = True
        if self._store:
            self._store.hurry()
        if self._engine:
            for sender in list(self._connection_senders.values()):
                self._engine.call(sender.stop)
        self.on_orders()

    def forbid(self) -> None:  # noqa: B027 a sender decides nothing
        """Record at once that the campaign is cancelled, if this run may decide that. Blocking.

        `CampaignRun.cancel` does the rest when nothing is on its way any more. Where this process
        is killed before, no run sends the campaign again, and the next one that is asked to does
        the rest.
        """

    async def close(self) -> None:
        """Commit what is left, end the engine, and release what this process holds."""
        if self._engine and self._store:
            await self._engine.run(self._store.close())
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        if self._engine and self._owns_engine:
            self._engine.close()
        self._release()

    @abstractmethod
    def _is_held(self) -> bool:
        """Whether this process may send now."""

    @abstractmethod
    def _release(self) -> None:
        """Release the journal and whatever else this process holds."""
