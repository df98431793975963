"""The limits of a connection and of its host, and how many slots they have. Calls no server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID, uuid5

from mailsluice.smtp.connection import Connection


def limit_name(connection: str) -> str:
    """The name of a connection's limit, as Prefect's UI shows it."""
    return f"smtp-{connection}"


class HostLimit(NamedTuple):
    """A connection's part in the limit of its host."""

    host: str
    sessions: int
    """The most sessions of all connections to the host, as this connection's block says."""

    @property
    def name(self) -> str:
        """The name of the host's limit, as Prefect's UI shows it."""
        return f"smtp-host-{self.host}"


def host_limit(connection: Connection) -> HostLimit | None:
    """The limit of the connection's host; None where its block has none."""
    most = connection.max_sessions_per_host
    return HostLimit(connection.host_key, most) if most else None


@dataclass(frozen=True, slots=True)
class LimitState:
    """The state of a limit, over all processes."""

    id: UUID
    limit: int
    taken: int
    is_active: bool = True
    updated: datetime | None = None
    """When the limit or its slots changed last, by the server's clock."""
    name: str = ""
    """The limit with that number of slots."""
    fullest: LimitState | None = None
    """The limit with the fewest free slots, of the connection's and its host's."""

    @property
    def is_full(self) -> bool:
        return self.taken >= self.limit


def joined(states: Sequence[LimitState]) -> LimitState:
    """Join the states of limits of which a lease needs slots together.

    The result has the lowest number of slots, and as many free ones as each limit has. Its id
    changes when one of the limits is deleted, deactivated or activated.
    """
    active = [state for state in states if state.is_active]
    if len(states) == 1 or not active:
        return states[0]
    lowest = min(active, key=lambda state: state.limit)
    fullest = min(active, key=lambda state: state.limit - state.taken)
    moments = [state.updated for state in active if state.updated]
    return replace(
        lowest,
        id=uuid5(active[0].id, " ".join(str(state.id) for state in active)),
        taken=lowest.limit - (fullest.limit - fullest.taken),
        updated=min(moments) if len(moments) == len(active) else None,
        fullest=fullest,
    )
