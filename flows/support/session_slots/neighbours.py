"""Messages between the processes that share a connection or a host, as events of Prefect.

Prefect announces when a limit is changed, but not when a slot is taken or released. So a process
that needs a slot of a full limit says so, and one that was asked says when it has released some.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import uuid4

from prefect.events import Event, emit_event

from flows.support.session_slots.limit_state import HostLimit

Emit = Callable[..., Any]


class Message(StrEnum):
    """The names of the events."""

    WANTED = "mailsluice.sessions.wanted"
    """A process would open more sessions, but the limit is full."""
    RELEASED = "mailsluice.sessions.released"
    """Slots of the limit may be free."""


@dataclass(frozen=True, slots=True)
class Request:
    """A process would like to have more of a limit's slots."""

    held: int
    wanted: int


class Neighbours:
    """The other processes that use a connection's limit, or that of its host where it has one.

    All that share the connection share the host as well. Connections to one host tell each other
    also within a process.
    """

    def __init__(
        self, connection: str, emit: Emit = emit_event, host: HostLimit | None = None
    ) -> None:
        self._connection = connection
        self._emit = emit
        self.host = host
        self._process = uuid4().hex

    @property
    def _resource(self) -> dict[str, str]:
        kind, name = ("host", self.host.host) if self.host else ("connection", self._connection)
        return {
            "prefect.resource.id": f"mailsluice.{kind}.{name}",
            "prefect.resource.name": name,
        }

    def ask(self, request: Request) -> None:
        """Ask for slots; returns at once."""
        self._tell(Message.WANTED, held=request.held, wanted=request.wanted)

    def tell_released(self) -> None:
        """Tell that slots were released; returns at once."""
        self._tell(Message.RELEASED)

    def heard(self, event: Event) -> Request | Message | None:
        """Read the message in an event; None if the event is not about these slots."""
        payload = event.payload
        if event.resource.id != self._resource["prefect.resource.id"]:
            return None
        if payload.get("process") == self._process:
            return None
        if event.event == Message.WANTED:
            return Request(int(payload["held"]), int(payload["wanted"]))
        return Message.RELEASED if event.event == Message.RELEASED else None

    def _tell(self, message: Message, **payload: int) -> None:
        self._emit(str(message), self._resource, payload={"process": self._process, **payload})
