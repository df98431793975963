"""The limits' common memory: who may start the next messages, over processes and restarts."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import orjson
import sqlalchemy as sa

from mailsluice.outbox.database import Database
from mailsluice.outbox.schema import usage
from mailsluice.pacing import Hold, Rules, Usage, give_out, hold

HOLDER_SECONDS = 30.0
"""A holder that is not heard of for so long has lost the starts it was given."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one sender reports and wants, under all keys whose limits it falls under."""

    holder: str
    rules: Mapping[str, Rules]
    """By key."""
    open: int
    """Starts it was given and has neither given back nor had a reply for."""
    replies: Sequence[float]
    """When replies came since it last reported, by the database's clock."""
    most: int
    """Starts wanted."""
    horizon_seconds: float
    """How far ahead."""


@dataclass(frozen=True, slots=True)
class Starts:
    """The answer. Times by the database's clock, in seconds since the epoch."""

    moments: Sequence[float]
    """When a message may be started, each: then or later, but before `until`."""
    next_at: float
    """When one more will be possible; infinity: not before somebody has a reply."""
    hold: Hold | None
    """The rule that this one more waits for."""
    now: float
    until: float
    seen_between: tuple[float, float]
    """Moments of this process's monotonic clock before and after `now` was read."""


class Usages:
    """The table `usage`."""

    def __init__(self, database: Database) -> None:
        self._database = database

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
        before = time.monotonic()
        now = float(transaction.execute(sa.select(self._database.now)).scalar_one())
        after = time.monotonic()
        until = now + HOLDER_SECONDS
        for key, rules in ask.rules.items():
            stored[key].report(ask.holder, ask.open, until, ask.replies, rules)
            stored[key].expire(now, rules)
        under = {key: (stored[key], rules) for key, rules in ask.rules.items()}
        moments, next_at = give_out(list(under.values()), now, now + ask.horizon_seconds, ask.most)
        for key in ask.rules:
            stored[key].report(ask.holder, ask.open + len(moments), until, (), ask.rules[key])
        return Starts(moments, next_at, hold(under, now), now, until, (before, after))

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
