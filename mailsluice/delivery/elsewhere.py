"""The senders of a campaign in other processes, where recipients move between connections.

The run reads the records of its senders every two seconds, and so knows which connection is done,
rests or is down. It records which connections may still get recipients; the senders read that, and
new moves, when they renew their leases, or as soon as they are told that there is news.

Everything here is used on the engine's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping

from mailsluice.core.steady import steady
from mailsluice.delivery.failover import Condition
from mailsluice.delivery.handovers import Handovers
from mailsluice.delivery.run import RouteResult
from mailsluice.reports.progress import Cause, Standing
from mailsluice.store.handovers import HandoverRecords
from mailsluice.store.trouble import DatabaseError

_IDLE = (Cause.DONE, Cause.STANDBY)
_RETRY_SECONDS = 1.0
_NOTICED_SECONDS = 10.0
"""A sender has noticed the recipients that it received, and its record says so, after so long."""


class SendersElsewhere:
    """The news between the run and its senders in other processes."""

    def __init__(
        self,
        records: HandoverRecords,
        handovers: Handovers,
        names: Iterable[str],
        on_news: Callable[[], None],
        standbys: Collection[str] = (),
    ) -> None:
        """`on_news` is called when the senders have something new to read in the database.

        `standbys` are connections over which nothing is sent before another one is down.
        """
        self._records = records
        self._handovers = handovers
        self._on_news = on_news
        self._has_news = asyncio.Event()
        self._stand_ins = {
            name: _StandIn(self._has_news.set, is_standby=name in standbys) for name in names
        }
        for name, stand_in in self._stand_ins.items():
            handovers.begin(name, stand_in)
        self._published = self.takers()

    def see(self, standings: Mapping[str, Standing], results: Mapping[str, RouteResult]) -> None:
        """Note the progress of each connection, and how those ended that have."""
        for name, stand_in in self._stand_ins.items():
            before = stand_in.condition()
            stand_in.see(standings.get(name), results.get(name))
            if stand_in.condition() == before:
                continue
            if stand_in.down:
                self._handovers.end(name)
            self._handovers.troubled()
        if self.takers() != self._published:
            self._has_news.set()

    async def run(self) -> None:
        """Record which connections may still get recipients, until this is cancelled."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            try:
                if (takers := self.takers()) != self._published:
                    await asyncio.to_thread(self._records.publish, takers)
                    self._published = takers
                self._on_news()
            except DatabaseError:
                await asyncio.sleep(_RETRY_SECONDS)
                self._has_news.set()

    def takers(self) -> set[str]:
        """The connections that may still get recipients of others."""
        return {name for name in self._stand_ins if self._handovers.may_receive(name)}


class _StandIn:
    """Stands for the senders of one connection. Implements `Handing`."""

    def __init__(self, tell: Callable[[], None], *, is_standby: bool) -> None:
        self._tell = tell
        self._is_standby = is_standby
        self._cause: Cause | None = None
        self._result: RouteResult | None = None
        self._rests_since: float | None = None
        self._received_at: float | None = None

    def see(self, standing: Standing | None, result: RouteResult | None) -> None:
        """Note what the records say."""
        self._cause, self._result = standing.binding.cause if standing else None, result
        if self._cause is not Cause.RESTING:
            self._rests_since = None
        elif self._rests_since is None:
            self._rests_since = steady()

    @property
    def down(self) -> str | None:
        return self._result.down if self._result else None

    def condition(self) -> Condition:
        """Not over where the senders have ended: one that was killed is followed by another."""
        return Condition(
            is_idle=self._is_idle,
            down=self.down,
            rests_since=self._rests_since,
        )

    @property
    def _is_idle(self) -> bool:
        if self._cause is None:  # no sender has told anything yet
            return self._is_standby and self._received_at is None
        is_noticed = self._received_at is None or steady() > self._received_at + _NOTICED_SECONDS
        return self._cause in _IDLE and is_noticed

    def look(self) -> None:
        self._tell()

    def receive(self) -> None:
        self._received_at = steady()
        self._tell()

    async def give_back(self) -> None:
        """Do nothing: the senders give back what they have claimed when they end."""
