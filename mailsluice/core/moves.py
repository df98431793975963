"""Moves of recipients from the connection that they were assigned to, to another one. Pure.

The transaction that moves recipients also records the move: how many of how many recipients, from
which connection to which, and why. So a page shows the moves without a scan of the recipients. At
any moment a connection has `assigned - moved away + moved here` recipients, and its share of the
campaign's limits follows the recipients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum


class MoveReason(StrEnum):
    """The reason for which recipients change their connection, as stored."""

    WARM_UP = "warm-up"
    """The recipients exceeded the daily cap of a connection that warms up."""
    DOWN = "down"
    """The connection was down, and the campaign lets other connections take over."""
    HELD = "held"
    """A limit of the stop-loss was passed, and an operator had the recipients moved."""
    LENT = "lent"
    """Another connection had room, and sent to the recipients so that the campaign ends earlier."""


_WORDS = {
    MoveReason.WARM_UP: "over the cap of {origin}'s warm-up",
    MoveReason.DOWN: "{origin} was down, or rested too long",
    MoveReason.HELD: "the stop-loss held them on {origin}, and an operator decided so",
    MoveReason.LENT: "lent, since {origin} would have ended later",
}


@dataclass(frozen=True, slots=True)
class Move:
    """Recipients that moved together from one connection to another."""

    origin: str
    target: str
    reason: MoveReason
    recipients: int
    of: int
    """The recipients that `origin` still had to send to before the move."""
    at: float | None = field(default=None, compare=False)
    """When it began, by the database's clock; None where that was not recorded."""

    def sentence(self) -> str:
        """Say in a sentence how many recipients moved where, and why."""
        why = _WORDS[self.reason].format(origin=self.origin)
        return f"{self.recipients:,} recipients went from {self.origin} to {self.target}: {why}"


@dataclass(frozen=True, slots=True)
class Handover:
    """Recipients that go from one connection to others at the same time.

    Example:
        >>> moved = {"sparkpost": 8230, "ses": 4115}
        >>> Handover("sendgrid", "is down", moved).sentence()
        'sendgrid is down: 12,345 recipients go to sparkpost (8,230) and ses (4,115)'
    """

    origin: str
    why: str
    """The reason as the end of a sentence about the origin."""
    moved: Mapping[str, int]
    """Recipients that each connection takes over."""

    @property
    def recipients(self) -> int:
        """All recipients that go to others."""
        return sum(self.moved.values())

    def sentence(self) -> str:
        """Say in a sentence who takes how many recipients over, and why."""
        go = "recipient goes" if self.recipients == 1 else "recipients go"
        names = [f"{target} ({number:,})" for target, number in self.moved.items()]
        targets = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        if len(names) == 1:
            targets = next(iter(self.moved))
        return f"{self.origin} {self.why}: {self.recipients:,} {go} to {targets}"


def together(moves: Iterable[Move]) -> list[Move]:
    """Add up moves with the same origin, target and reason; `at` is that of the first one."""
    merged: dict[tuple[str, str, MoveReason], Move] = {}
    for move in moves:
        key = (move.origin, move.target, move.reason)
        first = merged.get(key)
        merged[key] = (
            replace(first, recipients=first.recipients + move.recipients) if first else move
        )
    return list(merged.values())


def moved_here(moves: Iterable[Move]) -> Counter[str]:
    """Count the recipients that each connection took over."""
    counts: Counter[str] = Counter()
    for move in moves:
        counts[move.target] += move.recipients
    return counts


def moved_away(moves: Iterable[Move]) -> Counter[str]:
    """Count the recipients that each connection gave away."""
    counts: Counter[str] = Counter()
    for move in moves:
        counts[move.origin] += move.recipients
    return counts


def placed(assigned: Mapping[str, int], moves: Iterable[Move]) -> dict[str, int]:
    """Count the recipients of each connection after the moves; the sum does not change."""
    counts = dict(assigned)
    for move in moves:
        counts[move.origin] -= move.recipients
        counts[move.target] = counts.get(move.target, 0) + move.recipients
    return counts


def shares_after(shares: Mapping[str, Decimal], moves: Iterable[Move]) -> dict[str, Decimal]:
    """Return each connection's share of the campaign's limits after the moves.

    Recipients take their part of the origin's share along, so each connection may send in
    proportion to its recipients. The sum of the shares does not change (within 28 digits).

    Args:
        shares: Each connection's share before the moves, as a fraction.
        moves: The moves, in the order in which they happened.
    """
    result = dict(shares)
    for move in moves:
        before = result.get(move.origin, Decimal(0))
        leaves_none = move.recipients == move.of  # then the division must not round
        taken = before if leaves_none else before * move.recipients / move.of
        result[move.origin] = before - taken
        result[move.target] = result.get(move.target, Decimal(0)) + taken
    return result
