"""The state that the parts which send over one connection share."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mailsluice.campaign import Retry, UncertainPolicy
from mailsluice.core.steady import steady
from mailsluice.delivery.breaker import BreakerSettings
from mailsluice.delivery.health import ConnectionHealth
from mailsluice.delivery.journal import Journal
from mailsluice.delivery.lane import Lane
from mailsluice.delivery.lanes import Lanes
from mailsluice.delivery.pool import Pool
from mailsluice.delivery.session_lengths import SessionLengths
from mailsluice.delivery.store_thread import StoreThread
from mailsluice.smtp.connection import Connection
from mailsluice.store import Claimed


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """How a connection sender deals with trouble."""

    retry: Retry = field(default_factory=Retry)
    uncertain: UncertainPolicy = UncertainPolicy.HOLD
    breaker: BreakerSettings = field(default_factory=BreakerSettings)
    stop_seconds: float = 20.0
    """How long messages in flight may take when the run stops."""


@dataclass(frozen=True, slots=True)
class SenderContext:
    """The parts that all connection senders of a process share."""

    store: StoreThread
    journal: Journal
    opens_at: Callable[[float], float] = lambda now: now
    """The moment, this one or later, from which mail may go at all."""
    is_open: Callable[[int], bool] | None = None
    """Whether the sending window of a recipient is open, given by id; None: all have the same."""
    clock: Callable[[], float] = steady
    pool: Pool | None = None
    """The pool of recipients that no connection has claimed yet, if the campaign has one."""
    chance: Callable[[], float] = random.random
    """Numbers from 0 to 1, for jitter."""
    may_receive: Callable[[str], bool] = lambda _connection: False
    """Whether a connection may still get recipients of another one."""
    troubled: Callable[[], None] = lambda: None
    """Called when a connection rests or goes down."""


class ConnectionState:
    """The lanes and the health of one connection, and whether it is to stop.

    Everything here is used on the engine's event loop only.
    """

    def __init__(
        self,
        connection: Connection,
        context: SenderContext,
        settings: SenderSettings,
        changed: Callable[[], None],
        providers: Mapping[int, str] | None = None,
    ) -> None:
        """`changed` is called when recipients or starts arrive, or the server answers again.

        `providers` are the names of the campaign's mailbox providers, by number.
        """
        self.connection = connection
        """The connection with its present number of sessions."""
        self.context = context
        self.settings = settings
        self.changed = changed
        self.stopped = asyncio.Event()
        self.accepted = 0
        """Messages that the server has accepted in this run."""
        self.session_lengths = SessionLengths()
        name, clock = connection.name, context.clock
        self.providers = providers or {}
        """The names of the campaign's mailbox providers, by number."""
        breaker = settings.breaker.of(connection)
        self.health = ConnectionHealth(
            name,
            breaker,
            clock=clock,
            chance=context.chance,
            troubled=context.troubled,
        )
        self.lanes = Lanes(
            name,
            context.store,
            context.journal,
            self.health.slowdown,
            providers=self.providers,
            sessions=connection.max_sessions,
            clock=clock,
            changed=changed,
            is_open=context.is_open,
            pool=context.pool,
        )
        self.starts = self.lanes.main.starts

    @property
    def name(self) -> str:
        """The connection's name."""
        return self.connection.name

    @property
    def is_stopping(self) -> bool:
        """Whether the run, or this connection, is to end."""
        return self.stopped.is_set()

    @property
    def has_ended(self) -> bool:
        """Whether no more messages are to be started."""
        return self.stopped.is_set() or self.health.breaker.down is not None

    def use(self, connection: Connection) -> None:
        """Use a connection's changed settings."""
        self.connection = connection
        self.health.breaker.settings = self.settings.breaker.of(connection)

    def lane_of(self, row: Claimed) -> Lane:
        """The lane of a recipient's mailbox provider, which is made where there is none.

        The connection's main lane where the provider is not known.
        """
        return self.lanes.lane(row.provider)
