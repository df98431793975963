"""Decide which connection sends for which other one, and to how many recipients. Pure.

A connection has room when it has sent to its own recipients, or will have within seconds, or can
send to none of them now. Recipients then come to it from the connection that would end last, just
in time: the target never has more of them than it can send to soon, and the origin keeps what it
can send to until both end together. So as few recipients as possible change their connection. No
connection is idle that may send for another one, and so the campaign ends about as early as if all
paces had been known before.

A connection that has taken recipients gives none away, and the other way round, so nothing goes
back and forth.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from mailsluice.core.moves import Move, MoveReason
from mailsluice.operations.lending.observed import Observed
from mailsluice.operations.lending.situation import Condition, Situation

_FIRST_BATCH = 20
"""Recipients for a connection whose pace is not known yet."""

_TROUBLES = (MoveReason.DOWN, MoveReason.HELD)

Room = Callable[[str, int], int]
"""How many messages, at most so many, a connection's limits let start in the time of a batch."""


@dataclass(frozen=True, slots=True)
class LendingSettings:
    """The times of lending, in seconds."""

    look: float = 1.0
    """The time from one look at the connections to the next one, at least."""
    proof: float = 60.0
    """How long the target has to have worked, and the origin to have been bound."""
    batch: float = 30.0
    """How long the target sends to a batch; another one follows when half of it is left."""
    worthwhile: float = 5.0
    """How much later than the target the origin would have to end."""


class Loan(NamedTuple):
    """Recipients that are to move from one connection to another."""

    origin: str
    target: str
    recipients: int


class LendingPlanner:
    """Observes the connections of a campaign, and decides about loans."""

    def __init__(
        self,
        quotas: Mapping[str, int],
        targets: Iterable[str],
        max_shift_percent: Decimal,
        settings: LendingSettings | None = None,
    ) -> None:
        """Begin without observations.

        Args:
            quotas: How many recipients the launch assigned to each connection that may give some
                away.
            targets: The connections that may send for others.
            max_shift_percent: How much of its quota a connection may give away in all.
            settings: The times of lending.
        """
        self._settings = settings or LendingSettings()
        self._targets = frozenset(targets)
        self._most = {name: int(quota * max_shift_percent / 100) for name, quota in quotas.items()}
        self._observed: dict[str, Observed] = {}
        self._gave: Counter[str] = Counter()
        self._took: set[str] = set()
        self._left: set[str] = set()
        """Connections that recipients left since they were down or held."""
        self._barren: dict[str, float] = {}
        """Connections of which no recipient could be moved, and the moment of the next try."""

    def see(self, now: float, situations: Iterable[Situation], moves: Sequence[Move]) -> None:
        """Observe all connections, and the moves of the campaign so far."""
        for situation in situations:
            self._observed.setdefault(situation.connection, Observed()).see(now, situation)
        lent = [move for move in moves if move.reason is MoveReason.LENT]
        self._gave, self._took = Counter(), {move.target for move in lent}
        for move in lent:
            self._gave[move.origin] += move.recipients
        self._left = {move.origin for move in moves if move.reason in _TROUBLES}

    def found_none(self, origin: str, now: float) -> None:
        """Note that no recipient of a connection could be moved: all are claimed or deferred."""
        self._barren[origin] = now + self._settings.batch

    def may_lend(self, target: str) -> bool:
        """Whether a connection may get recipients of others, now or later."""
        if target not in self._targets - self._left or self._gave[target]:
            return False
        return any(self._observed[name].may_wait for name in self._givers(target))

    def loans(self, now: float, room: Room) -> list[Loan]:
        """Decide what is to move now."""
        loads = {name: _Load(seen) for name, seen in self._observed.items()}
        loans: list[Loan] = []
        for target in sorted(loads, key=lambda name: loads[name].seconds_left):
            wanted = self._wanted(target, room) if self._has_room(target) else 0
            while wanted > 0 and (loan := self._loan(now, target, wanted, loads)):
                loans.append(loan)
                wanted -= loan.recipients
                loads[target].ready += loan.recipients
                self._observed[target].takes(loan.recipients)
                loads[loan.origin].gives(loan.recipients)
                self._gave[loan.origin] += loan.recipients
                self._took.add(target)
        return loans

    def _has_room(self, target: str) -> bool:
        seen = self._observed[target]
        half = (seen.pace or 0.0) * self._settings.batch / 2
        is_fit = seen.seconds_fit >= self._settings.proof
        return is_fit and seen.ready <= half and self.may_lend(target)

    def _wanted(self, target: str, room: Room) -> int:
        """How many recipients keep the target busy for the time of a batch."""
        seen = self._observed[target]
        full = _FIRST_BATCH
        if seen.pace is not None:
            full = max(1, math.ceil(seen.pace * self._settings.batch))
        return min(full, room(target, full)) - seen.ready

    def _loan(
        self, now: float, target: str, wanted: int, loads: Mapping[str, _Load]
    ) -> Loan | None:
        """A loan from the connection that would end last; None where none is worth it."""
        origins = [
            name
            for name in self._givers(target)
            if self._observed[name].seconds_bound >= self._settings.proof
            and self._barren.get(name, -math.inf) <= now
        ]
        for origin in sorted(origins, key=lambda name: -loads[name].seconds_waiting):
            later = loads[origin].seconds_waiting - loads[target].seconds_left
            if later < self._settings.worthwhile:
                return None
            allowed = self._most[origin] - self._gave[origin]
            number = min(wanted, allowed, loads[origin].surplus_over(loads[target]))
            if number > 0:
                return Loan(origin, target, number)
        return None

    def _givers(self, target: str) -> Iterator[str]:
        """The connections whose part is not used up, and that may give to the target."""
        for name, most in self._most.items():
            is_free = name != target and name not in self._took and self._gave[name] < most
            if is_free and name in self._observed:
                yield name


class _Load:
    """The recipients that a connection has to send to, while loans are decided."""

    def __init__(self, seen: Observed) -> None:
        self.ready, self.waiting = seen.ready, seen.waiting
        self.pace = seen.pace or 0.0
        self._is_blocked = seen.situation.condition is Condition.BLOCKED

    @property
    def seconds_left(self) -> float:
        """How long the connection takes for those that it can send to."""
        return self.ready / self.pace if self.ready and self.pace else 0.0

    @property
    def seconds_waiting(self) -> float:
        """How long the last of its recipients has to wait."""
        pace = 0.0 if self._is_blocked else self.pace
        return self.waiting / pace if pace else math.inf

    def gives(self, recipients: int) -> None:
        self.waiting -= recipients
        self.ready = max(0, self.ready - recipients)

    def surplus_over(self, target: _Load) -> int:
        """How many recipients are to move so that both end together."""
        if self.seconds_waiting == math.inf:
            return self.waiting
        pace = target.pace or self.pace  # a connection whose pace is unknown may be as fast
        return int((pace * self.waiting - self.pace * target.ready) / (pace + self.pace))
