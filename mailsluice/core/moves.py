"""Recipients that go over another connection than the one they were assigned to. Pure.

Moves are recorded in the transaction that moves the recipients: how many, from which connection to
which, why, and out of how many. So a page tells what happened without a scan. A connection has
`assigned - moved away + moved here` recipients at any moment, and its share of the campaign's
limits follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum


class MoveReason(StrEnum):
    """Why recipients change their connection, as stored."""

    WARM_UP = "warm-up"
    """The recipients were over the day's cap of a connection that warms up."""
    DOWN = "down"
    """Their connection was down, and the campaign lets the others take over."""


_WORDS = {
    MoveReason.WARM_UP: "over the cap of {origin}'s warm-up",
    MoveReason.DOWN: "{origin} was down",
}


@dataclass(frozen=True, slots=True)
class Move:
    """Recipients that went together from one connection to another."""

    origin: str
    target: str
    reason: MoveReason
    recipients: int
    of: int
    """The recipients that `origin` still had to send to before they went."""

    def sentence(self) -> str:
        """Say in a sentence who went where, and why."""
        why = _WORDS[self.reason].format(origin=self.origin)
        return f"{self.recipients:,} recipients went from {self.origin} to {self.target}: {why}"


def together(moves: Iterable[Move]) -> list[Move]:
    """The moves, those from and to the same connections for the same reason as one."""
    found: dict[tuple[str, str, MoveReason], Move] = {}
    for move in moves:
        key = (move.origin, move.target, move.reason)
        before = found[key].recipients if key in found else 0
        found[key] = replace(move, recipients=move.recipients + before)
    return list(found.values())


def moved_here(moves: Iterable[Move]) -> Counter[str]:
    """How many recipients each connection took over."""
    found: Counter[str] = Counter()
    for move in moves:
        found[move.target] += move.recipients
    return found


def moved_away(moves: Iterable[Move]) -> Counter[str]:
    """How many recipients each connection gave to others."""
    found: Counter[str] = Counter()
    for move in moves:
        found[move.origin] += move.recipients
    return found


def placed(assigned: Mapping[str, int], moves: Iterable[Move]) -> dict[str, int]:
    """The recipients on each connection after the moves; together as many as were assigned."""
    found = dict(assigned)
    for move in moves:
        found[move.origin] -= move.recipients
        found[move.target] = found.get(move.target, 0) + move.recipients
    return found


def shares_after(shares: Mapping[str, Decimal], moves: Iterable[Move]) -> dict[str, Decimal]:
    """Shares of a campaign's limits after the moves, in the order in which they happened.

    Recipients take their part of the origin's share along, so each connection may send in
    proportion to what it has to send. The sum stays what it was (within 28 digits).
    """
    found = dict(shares)
    for move in moves:
        before = found.get(move.origin, Decimal(0))
        leaves_none = move.recipients == move.of  # exactly, where digits are cut off
        taken = before if leaves_none else before * move.recipients / move.of
        found[move.origin] = before - taken
        found[move.target] = found.get(move.target, Decimal(0)) + taken
    return found
