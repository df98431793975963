"""Lending against the optimum by arithmetic, in simulated time."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from mailsluice.core.moves import Move, MoveReason
from mailsluice.operations.lending.planner import LendingPlanner
from mailsluice.operations.lending.situation import Condition, Situation
from tests.thorough import examples

_LONGEST_SECONDS = 100_000


@dataclass
class Connection:
    """A connection that sends at a constant pace."""

    name: str
    quota: int
    per_second: float
    may_lend: bool = True
    own: int = 0
    """Recipients of the launch that wait."""
    lent: int = 0
    """Recipients of other connections that wait here."""
    done: int = 0
    credit: float = 0.0

    def __post_init__(self) -> None:
        self.own = self.quota

    @property
    def left(self) -> int:
        return self.own + self.lent

    def send(self) -> None:
        """Send for a second; a pace that is not used does not add up."""
        self.credit = min(self.credit + self.per_second, max(1.0, self.left))
        sent = min(int(self.credit), self.left)
        self.credit -= sent
        self.done += sent
        own = min(sent, self.own)
        self.own, self.lent = self.own - own, self.lent - (sent - own)

    def situation(self) -> Situation:
        condition = Condition.SENDS if self.left else Condition.IDLE
        return Situation(self.name, condition, self.left, self.done)


def simulate(connections: Sequence[Connection], percent: Decimal) -> tuple[int, list[Move]]:
    """Send a campaign; returns its seconds and the loans."""
    by_name = {known.name: known for known in connections}
    planner = LendingPlanner(
        {known.name: known.quota for known in connections},
        [known.name for known in connections if known.may_lend],
        percent,
    )
    moves: list[Move] = []
    for second in range(_LONGEST_SECONDS):
        if not any(known.left for known in connections):
            return second, moves
        planner.see(second, [known.situation() for known in connections], moves)
        for loan in planner.loans(second, lambda name, most: most):
            origin, target = by_name[loan.origin], by_name[loan.target]
            of, moved = origin.left, min(loan.recipients, origin.own)
            origin.own, target.lent = origin.own - moved, target.lent + moved
            moves.append(Move(loan.origin, loan.target, MoveReason.LENT, moved, of))
        for known in connections:
            known.send()
    raise AssertionError("the campaign does not end")


def optimum(connections: Sequence[Connection], percent: Decimal) -> float:
    """The seconds that the campaign takes if all paces are known before: bisect the end."""
    low, high = 0.0, max(known.quota / known.per_second for known in connections)
    for _ in range(60):
        seconds = (low + high) / 2
        needs = [max(0.0, known.quota - known.per_second * seconds) for known in connections]
        may_give = [int(known.quota * percent / 100) for known in connections]
        room = sum(
            max(0.0, known.per_second * seconds - known.quota)
            for known in connections
            if known.may_lend
        )
        fits = all(need <= most for need, most in zip(needs, may_give, strict=True))
        if fits and sum(needs) <= room:
            high = seconds
        else:
            low = seconds
    return high


_PACES = st.floats(-1.0, 3.0).map(lambda exponent: 10.0**exponent)
_CONNECTIONS = st.lists(
    st.tuples(_PACES, st.floats(120.0, 1_500.0), st.booleans()), min_size=2, max_size=6
)
"""The pace of each, how long its quota takes at it, and whether recipients may move to it."""


@settings(max_examples=examples(), deadline=None)
@given(_CONNECTIONS, st.sampled_from([5, 10, 30, 100]), st.randoms(use_true_random=False))
def test_a_campaign_ends_as_early_as_arithmetic_allows(
    drawn: list[tuple[float, float, bool]], percent: int, chance: random.Random
) -> None:
    """The end is within 3 % of the optimum, and no connection gives more than it may."""
    connections = [
        Connection(f"c{number}", max(1, int(pace * seconds)), pace, may_lend)
        for number, (pace, seconds, may_lend) in enumerate(drawn)
    ]
    chance.shuffle(connections)
    best = optimum(connections, Decimal(percent))
    seconds, moves = simulate(connections, Decimal(percent))
    slowest = max(1 / known.per_second for known in connections)
    assert seconds <= 1.03 * best + slowest + 10
    _check_laws(connections, moves, percent)


def _check_laws(connections: Sequence[Connection], moves: Sequence[Move], percent: int) -> None:
    gave: Counter[str] = Counter()
    for move in moves:
        gave[move.origin] += move.recipients
    for known in connections:
        assert gave[known.name] <= known.quota * percent // 100
    assert not {move.target for move in moves} & gave.keys(), "nothing goes back and forth"
    assert sum(known.done for known in connections) == sum(known.quota for known in connections)
    assert {move.target for move in moves} <= {c.name for c in connections if c.may_lend}


def test_the_fast_connection_takes_what_the_slow_one_cannot_send() -> None:
    """Limits of 10 and 600 a minute, half of the recipients each."""
    slow, fast = Connection("slow", 2_000, 10 / 60), Connection("fast", 2_000, 10.0)
    seconds, moves = simulate([slow, fast], Decimal(100))
    assert seconds <= 1.03 * 4_000 / (10 + 10 / 60) + 6
    assert slow.done + fast.done == 4_000
    largest = max(move.recipients for move in moves)
    assert largest <= 30 * 10, "a batch is what the target can send soon"


def test_nothing_is_lent_where_all_end_together() -> None:
    """Shares that fit the paces are kept exactly."""
    connections = [Connection("a", 7_000, 7.0), Connection("b", 3_000, 3.0)]
    seconds, moves = simulate(connections, Decimal(10))
    assert (seconds, moves) == (1_000, [])


def test_few_batches_are_needed() -> None:
    """The target is topped up before it runs dry, not every second."""
    connections = [Connection("slow", 10_000, 1.0), Connection("fast", 1_000, 10.0)]
    seconds, moves = simulate(connections, Decimal(100))
    assert len(moves) <= seconds / 10
    assert all(earlier.origin == "slow" for earlier, _ in itertools.pairwise(moves))
