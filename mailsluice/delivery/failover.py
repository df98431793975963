"""Which connections take over the recipients of one that is down or rests. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Condition:
    """The state of one connection in a run, as far as a failover depends on it."""

    is_over: bool = False
    """Whether the connection sends nothing more in this run."""
    is_idle: bool = False
    """Whether it has no recipient left, unless it takes some over."""
    down: str | None = None
    """Why the connection is down; None while it works."""
    rests_since: float | None = None
    """Since when the connection rests after failures; None while it does not."""


STARTING = Condition()
"""A connection whose sending has not begun yet."""


def takers(
    conditions: Mapping[str, Condition],
    shares: Mapping[str, Decimal],
    standbys: Sequence[str],
    barred: Collection[str],
    *,
    rest: bool = True,
) -> dict[str, Decimal]:
    """Choose the connections that take recipients over, with their weights.

    The first standby connection that works takes all. Where no standby works, the other
    connections that work share the recipients in proportion to their shares. Connections that rest
    count only where none works: their next try needs recipients, too.

    Args:
        conditions: The connections of the run.
        shares: The shares at the launch, of which some are 0.
        standbys: The standby connections, in order.
        barred: Connections that take none.
        rest: Whether a connection that rests may take recipients.
    """
    able = {
        name: now
        for name, now in conditions.items()
        if name not in barred and not now.is_over and not now.down
    }
    working = [name for name, now in able.items() if now.rests_since is None]
    for chosen in (working, list(able) if rest else []):
        for standby in standbys:
            if standby in chosen:
                return {standby: Decimal(1)}
        sharing = {name: share for name, share in shares.items() if name in chosen and share > 0}
        if sharing:
            return sharing
    return {}
