"""The limits' common memory: who may start the next messages, over processes and restarts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import orjson
import sqlalchemy as sa

from mailsluice.core.steady import steady, steady_name
from mailsluice.limits import (
    HOLDER_SECONDS,
    DatabaseClock,
    Hold,
    Rules,
    Timekeeper,
    Usage,
    give_out,
    hold,
)
from mailsluice.store.database import Database
from mailsluice.store.schema import usage

logger = logging.getLogger(__name__)

_TOLD_SECONDS = 1.0  # clocks that are set by less are no news


@dataclass(frozen=True, slots=True)
class Ask:
    """What one sender reports and wants, under all keys whose limits it falls under."""

    holder: str
    rules: Mapping[str, Rules]
    """By key."""
    open: int
    """Starts it was given and has neither given back nor had a reply for."""
    replies: Sequence[float]
    """When replies came since it last reported, by this process's steady clock."""
    most: int
    """Starts wanted."""
    horizon_seconds: float
    """How far ahead."""


@dataclass(frozen=True, slots=True)
class Starts:
    """The answer. Moments of this process's steady clock."""

    moments: Sequence[float]
    """When a message may be started, each: then or later, but before `until`."""
    next_at: float
    """When one more will be possible; infinity: not before somebody has a reply."""
    hold: Hold | None
    """The rule that this one more waits for."""
    until: float


class Usages:
    """The table `usage`, as one process sees it: it remembers how the database's clock goes."""

    def __init__(self, database: Database, clock: Callable[[], float] = steady) -> None:
        self._database = database
        self._clock = clock
        self._database_clock = DatabaseClock()
        self._timekeeper = Timekeeper(steady_name() if clock is steady else "")
        self._told_seconds = 0.0

    def reserve(self, transaction: sa.Connection, asks: Sequence[Ask]) -> list[Starts]:
        """Report, and get starts that all the rules allow; the answers in the order of the asks.

        Safe to repeat where nobody knows whether the first time was committed: what is open is told
        as a whole, and a reply that counts twice only leaves something unused.
        """
        if not asks:
            return []
        stored = self._locked(transaction, {key for ask in asks for key in ask.rules})
        answers = [self._reserve(transaction, ask, stored) for ask in asks]
        self._store(transaction, stored)
        return answers

    def _reserve(self, transaction: sa.Connection, ask: Ask, stored: Mapping[str, Usage]) -> Starts:
        clock, before = self._database_clock, self._clock()
        now = float(transaction.execute(sa.select(self._database.now)).scalar_one())
        after = self._clock()
        clock.seen(now, before, after)
        until = now + HOLDER_SECONDS
        replies = [min(now, clock.to_database(one)) for one in ask.replies]
        for key, rules in ask.rules.items():
            seconds = self._timekeeper.look(key, stored[key].timeline, now, before, after)
            self._tell(seconds)
            stored[key].report(ask.holder, ask.open, until, replies, rules)
            stored[key].expire(now, rules)
        under = {key: (stored[key], rules) for key, rules in ask.rules.items()}
        moments, next_at = give_out(list(under.values()), now, now + ask.horizon_seconds, ask.most)
        for key in ask.rules:
            stored[key].report(ask.holder, ask.open + len(moments), until, (), ask.rules[key])
        held = hold(under, now)
        return Starts(
            [clock.to_local(one) for one in moments],
            clock.to_local(next_at),
            replace(held, until=clock.to_local(held.until)) if held else None,
            clock.until(until),
        )

    def _tell(self, seconds: float) -> None:
        """Warn once that the database's clock was set, not for each limit that finds out."""
        if abs(seconds) < _TOLD_SECONDS or abs(seconds - self._told_seconds) < _TOLD_SECONDS:
            return
        self._told_seconds = seconds
        logger.warning(
            "the state database's clock was set %s by %.0f s, or this machine stood still: limits"
            " go on by the time that has really passed. Let NTP set the clocks",
            "forward" if seconds > 0 else "back",
            abs(seconds),
        )

    def forget(self, transaction: sa.Connection, keys: Sequence[str]) -> None:
        """Nobody will send under these keys any more."""
        transaction.execute(sa.delete(usage).where(usage.c.key.in_(keys)))

    def _locked(self, transaction: sa.Connection, keys: Collection[str]) -> dict[str, Usage]:
        """Locked in the order of their keys, so that no two senders wait for each other."""
        query = sa.select(usage).where(usage.c.key.in_(keys)).order_by(usage.c.key)
        found = transaction.execute(query.with_for_update()).all()
        if len(found) < len(keys):
            self._add(transaction, keys)
            found = transaction.execute(query.with_for_update()).all()
        return {row.key: Usage.from_json(orjson.loads(row.state)) for row in found}

    def _add(self, transaction: sa.Connection, keys: Collection[str]) -> None:
        new = orjson.dumps(Usage().to_json()).decode()
        insert = self._database.insert_ignoring(usage)
        transaction.execute(insert, [{"key": key, "state": new} for key in sorted(keys)])

    def _store(self, transaction: sa.Connection, stored: Mapping[str, Usage]) -> None:
        update = (
            sa.update(usage)
            .where(usage.c.key == sa.bindparam("p_key"))
            .values(state=sa.bindparam("p_state"))
        )
        rows = [
            {"p_key": key, "p_state": orjson.dumps(one.to_json()).decode()}
            for key, one in sorted(stored.items())
        ]
        if rows:  # a sender whose limits were lifted has none
            transaction.execute(update, rows)
