"""The situation of a connection at one moment, as far as lending needs it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from mailsluice.reports.progress import Cause, Standing


class Condition(Enum):
    """Whether a connection has room, and whether its recipients wait."""

    SENDS = auto()
    """The connection sends as fast as its limits, its sessions and its server allow."""
    IDLE = auto()
    """The connection has room: no recipient is left, or all of them were deferred."""
    BLOCKED = auto()
    """The connection has room for others: its own recipients wait for their mailbox providers."""
    STUCK = auto()
    """The server is in trouble, or asks for less mail: recipients wait, and there is no room."""
    AWAY = auto()
    """Nothing is to be sent over the connection now, but later."""
    OVER = auto()
    """Nothing is to be sent over the connection any more in this run."""

    @property
    def has_room(self) -> bool:
        """Whether the connection works, so that further recipients would be sent to."""
        return self in (Condition.SENDS, Condition.IDLE, Condition.BLOCKED)

    @property
    def may_be_bound(self) -> bool:
        """Whether recipients of the connection wait that another one might send to."""
        return self in (Condition.SENDS, Condition.BLOCKED, Condition.STUCK)

    @property
    def may_be_bound_later(self) -> bool:
        """Whether recipients of the connection may wait now or later in this run."""
        return self.may_be_bound or self is Condition.AWAY


_CONDITIONS = {
    Cause.FREE: Condition.SENDS,
    Cause.LIMIT: Condition.SENDS,
    Cause.LAST_REPLIES: Condition.SENDS,
    Cause.CONNECTING: Condition.SENDS,
    Cause.DONE: Condition.IDLE,
    Cause.STANDBY: Condition.IDLE,
    Cause.DEFERRED: Condition.IDLE,
    Cause.PROVIDERS: Condition.BLOCKED,
    Cause.SLOWED: Condition.STUCK,
    Cause.RETRYING: Condition.STUCK,
    Cause.RESTING: Condition.STUCK,
    Cause.QUARANTINED: Condition.OVER,
    Cause.HELD: Condition.OVER,
    Cause.STOPPED: Condition.OVER,
}


@dataclass(frozen=True, slots=True)
class Situation:
    """A connection at one moment."""

    connection: str
    condition: Condition
    left: int
    """Recipients that wait, those included that cannot be sent to now."""
    done: int
    """Recipients that were settled so far."""

    @classmethod
    def of(cls, standing: Standing) -> Situation:
        """The situation behind the progress of a connection."""
        tally = standing.tally
        condition = _CONDITIONS.get(standing.binding.cause, Condition.AWAY)
        return cls(standing.connection, condition, tally.left, tally.assigned - tally.left)

    @property
    def ready(self) -> int:
        """Recipients that the connection can send to now or soon."""
        return self.left if self.condition in (Condition.SENDS, Condition.STUCK) else 0
