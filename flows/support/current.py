"""What the subflows of a running campaign share with their parent."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from flows.support.session_slots import SessionSlots
from flows.support.stopping import StopRequest
from mailsluice.delivery import Run
from mailsluice.message import CompiledMessage
from mailsluice.smtp.connection import Connection


@dataclass(frozen=True, slots=True)
class Current:
    """A campaign that this process is sending."""

    run: Run
    message: CompiledMessage
    connections: dict[str, Connection]
    slots: dict[str, SessionSlots]
    stop_request: StopRequest
    longest_wait_seconds: float
    """With longer to wait for the next mail, this run ends and comes back."""
    shards: int = 1
    """How many processes share each connection's sessions."""
    waiting: dict[str, int] = field(default_factory=dict)
    """How many recipients each connection has to send to."""

    def fitted(self, connection: Connection) -> Connection:
        """A connection with the sessions that are this process's part."""
        return replace(connection, max_sessions=-(-connection.max_sessions // self.shards))


current: ContextVar[Current] = ContextVar("current campaign")
