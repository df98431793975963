"""The usage of limits, shared by all processes and kept over restarts."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import sqlalchemy as sa

from mailsluice.core.steady import steady, steady_name
from mailsluice.limits import (
    HOLDER_SECONDS,
    DatabaseClock,
    Estate,
    Hold,
    Report,
    Rules,
    Spread,
    Timekeeper,
    Usage,
    exchange,
    hold,
    room,
)
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, rows_in
from mailsluice.store.schema import usage

logger = logging.getLogger(__name__)

_TOLD_SECONDS = 1.0  # smaller corrections of a clock are not worth a warning

_PACED = Rules(is_paced=True)

# Built once: to build a statement takes longer than to run it.
_WRITE = (
    sa.update(usage)
    .where(usage.c.key == sa.bindparam("p_key"))
    .values(state=sa.bindparam("p_state"))
)


@dataclass(frozen=True, slots=True)
class Ask:
    """The report and request of one sender, under all keys whose limits apply to it."""

    holder: str
    rules: Mapping[str, Rules]
    """Limits by key."""
    open: int
    """Starts that were granted, neither returned nor answered by a reply."""
    replies: Sequence[float]
    """Times of the replies since the last report, by this process's steady clock."""
    most: int
    """The most starts requested."""
    horizon_seconds: float
    """The most seconds by which a granted start may lie ahead."""
    answered: int | None = None
    """The number of replies in all that the holder has had."""
    stock: Sequence[float] = ()
    """The moments of the open starts that are not used yet, by this process's steady clock."""


@dataclass(frozen=True, slots=True)
class Starts:
    """Granted starts. Moments are of this process's steady clock."""

    moments: Sequence[float]
    """One for each granted message, which may start from this moment on, but before `until`."""
    next_at: float
    """The moment at which another start becomes possible; infinity when a reply must come first."""
    hold: Hold | None
    """The rule that delays the next start."""
    until: float
    per_second: float = math.inf
    """The even pace of rules that are paced; infinity without any."""


class Usages:
    """The `usage` table for one process, which keeps track of the database's clock."""

    def __init__(self, database: Database, clock: Callable[[], float] = steady) -> None:
        self._database = database
        self._clock = clock
        self._database_clock = DatabaseClock()
        self._timekeeper = Timekeeper(steady_name() if clock is steady else "")
        self._told_seconds = 0.0

    def reserve(self, transaction: sa.Connection, asks: Sequence[Ask]) -> list[Starts]:
        """Report usage and grant starts that all rules allow, in the order of the asks.

        A call may be repeated when it is unknown whether the first was committed: each ask states
        all open starts, and a reply that counts twice only leaves a part of the limit unused.
        """
        if not asks:
            return []
        stored, now = self._looked_at(transaction, {key for ask in asks for key in ask.rules})
        answers = [self._reserve(ask, stored, now) for ask in asks]
        self._store(transaction, stored)
        return answers

    def spread(self, transaction: sa.Connection, spreads: Mapping[str, Spread]) -> None:
        """Set the even pace of each key whose rules are paced."""
        stored, now = self._looked_at(transaction, spreads)
        for key, wanted in spreads.items():
            stored[key].settle(now, _PACED)
            stored[key].expire(now, _PACED)
            stored[key].spread(wanted._replace(since=max(now, wanted.since)))
        self._store(transaction, stored)

    def _looked_at(
        self, transaction: sa.Connection, keys: Collection[str]
    ) -> tuple[dict[str, Usage], float]:
        """Lock and read rows, and the database's clock, which their timelines follow."""
        stored = self._locked(transaction, keys)
        now, before, after = self._look(transaction)
        for key in sorted(stored):
            timeline = stored[key].timeline
            self._tell(self._timekeeper.look(key, timeline, now, before, after))
        return stored, now

    def _look(self, transaction: sa.Connection) -> tuple[float, float, float]:
        """Read the database's clock, between two moments of this process's clock."""
        before = self._clock()
        now = float(transaction.execute(self._database.built(_clock)).scalar_one())
        after = self._clock()
        self._database_clock.seen(now, before, after)
        return now, before, after

    def _reserve(self, ask: Ask, stored: Mapping[str, Usage], now: float) -> Starts:
        import numpy as np  # who sends without limits does not load it

        clock = self._database_clock
        replies = np.minimum(now, clock.to_database(np.array(ask.replies, np.float64)))
        stock = clock.since(np.array(ask.stock, np.float64))
        report = Report(ask.holder, ask.open, replies, ask.answered, stock)
        under = {key: (stored[key], rules) for key, rules in ask.rules.items()}
        horizon = now + ask.horizon_seconds
        moments, next_at = exchange(list(under.values()), report, now, horizon, ask.most)
        held = hold(under, now)
        return Starts(
            clock.to_local(np.array(moments, np.float64)).tolist(),
            clock.to_local(next_at),
            replace(held, until=clock.to_local(held.until)) if held else None,
            clock.until(now + HOLDER_SECONDS),
            paced([*under.values()]),
        )

    def room(self, rules: Mapping[str, Rules], seconds: float, most: int) -> int:
        """Count the messages, at most `most`, that the rules by key let start within `seconds`.

        No start is given out. Blocking.
        """
        keys = [key for key, rule in rules.items() if rule]
        usages, now = self.read(keys)
        return room([(usages[key], rules[key]) for key in keys], now, seconds, most)

    def read(self, keys: Collection[str]) -> tuple[dict[str, Usage], float]:
        """Return the usages of keys as they are stored, and the database's time. Blocking."""
        query = sa.select(usage.c.key, usage.c.state).where(usage.c.key.in_(keys))
        with self._database.read() as reader:
            states = {row.key: row.state for row in reader.execute(query)}
            now = float(reader.execute(self._database.built(_clock)).scalar_one())
        stored = {key: Usage.from_json(orjson.loads(state)) for key, state in states.items()}
        return {key: stored.get(key, Usage()) for key in keys}, now

    def correct(
        self, transaction: sa.Connection, key: str, period: tuple[float, float], total: int
    ) -> None:
        """Let a period, which has begun, have so many replies under a key."""
        stored = self._locked(transaction, {key})
        stored[key].dated.correct(*period, total)
        self._store(transaction, stored)

    def _tell(self, seconds: float) -> None:
        """Warn once when the database's clock was set, not once for each limit."""
        if abs(seconds) < _TOLD_SECONDS or abs(seconds - self._told_seconds) < _TOLD_SECONDS:
            return
        self._told_seconds = seconds
        logger.warning(
            "the state database's clock was set %s by %.0f s, or this machine was suspended: limits"
            " follow the time that has really passed. Synchronise the clocks with NTP",
            "forward" if seconds > 0 else "back",
            abs(seconds),
        )

    def bequeath(self, transaction: sa.Connection, estate: Estate, keys: Collection[str]) -> None:
        """Note which starts a dead process has used; the next report under a key settles them."""
        stored = self._rows(transaction, keys)
        for usage_of_key in stored.values():
            usage_of_key.estates.append(estate)
        self._store(transaction, stored)

    def forget(
        self, transaction: sa.Connection, keys: Sequence[str], beginning: str | None = None
    ) -> None:
        """Delete the usage of keys under which no process will send again.

        `beginning`: also of all keys that begin like this.
        """
        transaction.execute(sa.delete(usage).where(usage.c.key.in_(keys)))
        if beginning:
            begins = usage.c.key.startswith(beginning, autoescape=True)
            transaction.execute(sa.delete(usage).where(begins))

    def _locked(self, transaction: sa.Connection, keys: Collection[str]) -> dict[str, Usage]:
        """Lock and read rows in the order of their keys, so that no two senders deadlock."""
        stored = self._rows(transaction, keys)
        if len(stored) < len(keys):
            self._add(transaction, keys)
            stored = self._rows(transaction, keys)
        return stored

    def _rows(self, transaction: sa.Connection, keys: Collection[str]) -> dict[str, Usage]:
        rows = transaction.execute(
            self._database.built(_locking), as_parameter((key,) for key in keys)
        )
        return {row.key: Usage.from_json(orjson.loads(row.state)) for row in rows}

    def _add(self, transaction: sa.Connection, keys: Collection[str]) -> None:
        new = orjson.dumps(Usage().to_json()).decode()
        insert = self._database.insert_ignoring(usage)
        transaction.execute(insert, [{"key": key, "state": new} for key in sorted(keys)])

    def _store(self, transaction: sa.Connection, stored: Mapping[str, Usage]) -> None:
        rows = [
            {"p_key": key, "p_state": orjson.dumps(state.to_json()).decode()}
            for key, state in sorted(stored.items())
        ]
        if rows:  # a sender without limits has none
            transaction.execute(_WRITE, rows)


def paced(under: Sequence[tuple[Usage, Rules]]) -> float:
    """The even pace of these rules, per second; infinity without any."""
    spacings = [state.spacing for state, rules in under if rules.is_paced and state.spacing]
    return 1 / max(spacings) if spacings else math.inf


def _clock(database: Database) -> sa.Select[Any]:
    """Read the database's clock."""
    return sa.select(database.now)


def _locking(database: Database) -> sa.Select[Any]:
    """Lock and read the rows of the given keys, in the order of the keys."""
    given = rows_in(database, {"key": sa.Text()})
    return (
        sa.select(usage.c.key, usage.c.state)
        .where(usage.c.key.in_(sa.select(given.c.key)))
        .order_by(usage.c.key)
        .with_for_update()
    )
