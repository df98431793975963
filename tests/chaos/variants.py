"""The kinds of campaigns that chaos runs kill."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

CONNECTIONS = ("red", "green", "blue")
Fields = Mapping[str, Any]
_SHARES = (
    {"connection": "red", "percent": 50},
    {"connection": "green", "percent": 30},
    {"connection": "blue", "percent": 20},
)
_STANDBY = (
    {"connection": "red", "percent": 60},
    {"connection": "green", "percent": 40},
    {"connection": "blue", "standby": True},
)
_POOL = tuple({"connection": name} for name in CONNECTIONS)
_FAR_DAY = 1 if 8 <= datetime.now(UTC).day <= 20 else 15
"""A billing day that is at least a week away."""


@dataclass(frozen=True)
class Variant:
    """A kind of campaign, and the servers that it meets."""

    document: Fields = field(default_factory=dict)
    """Fields of the campaign's document."""
    routes: tuple[Fields, ...] = _SHARES
    connections: Mapping[str, Fields] = field(default_factory=dict)
    """Fields of connections, by name."""
    everybody: Mapping[str, str] = field(default_factory=dict)
    """A fault that strikes everybody at a connection's server: AFTER messages, TIMES, FAULT."""
    campaigns: int = 1
    """How many campaigns are sent at the same time, each by a run of its own."""
    most: Mapping[str, int] = field(default_factory=dict)
    """How many messages a server may get in all, by its connection."""

    def per_second(self, name: str) -> int | None:
        """Return the limit of a connection, over all campaigns."""
        limit: int | None = self.connections.get(name, {}).get("per_second")
        return limit


_QUICK_REST = {"cool_down_after": 2, "cool_down_seconds": 1, "timeout_seconds": 1}
_REASSIGN = {"on_connection_down": "reassign", "reassign_after_minutes": 0}
VARIANTS = {
    "plain": Variant(),
    "lending": Variant(
        {"lend": True, "max_shift_percent": 80},
        connections={"red": {"per_second": 20}, "green": {"per_second": 200}},
    ),
    "account suspended": Variant(
        {"on_connection_down": "reassign"},
        _STANDBY,
        everybody={"red": "100 12 535-at-mail", "green": "200 8 535-at-mail"},
    ),
    "server drops": Variant(
        _REASSIGN,
        connections=dict.fromkeys(CONNECTIONS, _QUICK_REST),
        everybody={"red": "100 10 drop-at-mail", "blue": "50 8 drop-at-data"},
    ),
    "server hangs": Variant(
        _REASSIGN,
        _STANDBY,
        connections=dict.fromkeys(CONNECTIONS, _QUICK_REST),
        everybody={"red": "100 24 hang-at-rcpt", "green": "100 6 hang-at-mail"},
    ),
    "shared limits": Variant(
        {"throttle": {"per_second": 150}},
        connections={"red": {"per_second": 120}, "green": {"per_second": 90}},
        campaigns=2,
    ),
    "pool with a quota": Variant(
        {"strategy": "throughput"},
        _POOL,
        connections={
            "red": {"per_month": 250, "month_begins_on": _FAR_DAY},
            "green": {"per_second": 150},
            "blue": {"per_second": 150},
        },
        campaigns=2,
        most={"red": 250},
    ),
    "canary": Variant(
        {"canary": {"percent": 10, "wait_minutes": 0}, "stop_loss": {"bounce_percent": 50}}
    ),
    # Faulty recipients bounce: what is held goes on, or goes to another connection.
    "holds": Variant(
        {
            "canary": {"percent": 5, "wait_minutes": 0, "approve": "operator"},
            "stop_loss": {"bounce_percent": 0.5},
            "on_connection_down": "reassign",
        },
    ),
    "affinity": Variant({"affinity": "recipient"}, campaigns=3),
    "spread": Variant({"spread_over": 0.003}),
    "everything": Variant(
        {**_REASSIGN, "lend": True, "max_shift_percent": 80, "throttle": {"per_second": 400}},
        _STANDBY,
        connections={
            "red": {**_QUICK_REST, "per_second": 80},
            "green": {**_QUICK_REST, "per_second": 250},
            "blue": {**_QUICK_REST, "per_second": 250},
        },
        everybody={"red": "150 8 535-at-mail", "green": "100 8 drop-at-mail"},
        campaigns=2,
    ),
}
