"""The connections of one process that claim from the pool of a campaign (strategy `throughput`).

A recipient that one of them has claimed and not attempted may return to the pool: its connection
goes down, rests, or has to wait for a limit. So a connection that finds the pool empty is not done
while another one holds recipients.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

LOOK_SECONDS = 0.5
"""How often a connection without recipients looks whether the others still hold some."""


class Member(Protocol):
    """A connection that claims from the pool."""

    @property
    def holds_recipients(self) -> bool:
        """Whether recipients are claimed that may still return to the pool."""

    def look_again(self) -> None:
        """Claim again, soon: there may be recipients in the pool, or nobody holds any more."""


class Sessions(Protocol):
    """The sessions of a connection, which take its recipients."""

    def capacity(self) -> int:
        """How many recipients the sessions can take soon, in flight ones not counted."""

    def held_until(self, now: float) -> float:
        """Until when no message can start, whoever it is for; infinity: not known."""


class Pool:
    """The members of a campaign's pool. Used on one event loop."""

    def __init__(self) -> None:
        self._members: list[Member] = []

    def join(self, member: Member) -> None:
        """Add a connection, which begins to send."""
        self._members.append(member)

    def leave(self, member: Member) -> None:
        """Remove a connection, which has returned what it held."""
        self._members.remove(member)
        self.returned(member)

    def returned(self, by: Member) -> None:
        """Tell the others that recipients may be in the pool again."""
        for member in self._members:
            if member is not by:
                member.look_again()

    def may_fill(self, member: Member) -> bool:
        """Whether other connections hold recipients that they may return."""
        return any(other.holds_recipients for other in self._members if other is not member)


class Turns:
    """The order in which connections get starts under the same limits of their campaign.

    The connection that is furthest behind its share of the starts so far is first. So the shares
    are as computed, while a connection that asks for less leaves the rest to the others.
    """

    def __init__(self, shares: Mapping[str, float]) -> None:
        """`shares` are the computed shares; a connection that is not in it comes last."""
        self._shares = shares
        self._given: Counter[str] = Counter()

    def order(self, connections: Sequence[str]) -> list[int]:
        """The indices of these connections, the one whose turn it is first."""
        return sorted(range(len(connections)), key=lambda i: self._behind(connections[i]))

    def given(self, connection: str, starts: int) -> None:
        """Note that a connection was given starts."""
        self._given[connection] += starts

    def _behind(self, connection: str) -> float:
        share = self._shares.get(connection)
        return self._given[connection] / share if share else math.inf
