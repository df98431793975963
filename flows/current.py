"""What the subflows of a running campaign share with their parent."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field

from flows.session_slots import SessionSlots
from flows.stopping import StopRequest
from mailsluice.message import CompiledMessage
from mailsluice.sending import CampaignRun
from mailsluice.smtp.connection import Connection


@dataclass(frozen=True, slots=True)
class Current:
    """A campaign that this process is sending."""

    run: CampaignRun
    message: CompiledMessage
    connections: dict[str, Connection]
    slots: dict[str, SessionSlots]
    stop_request: StopRequest
    longest_wait_seconds: float
    """With longer to wait for the next mail, this run ends and comes back."""
    waiting: dict[str, int] = field(default_factory=dict)
    """How many recipients each connection has to send to."""
    begun: dict[str, asyncio.Event] = field(default_factory=dict)
    """Set by the subflow of each connection as soon as it runs."""


current: ContextVar[Current] = ContextVar("current campaign")
