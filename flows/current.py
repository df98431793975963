"""What the subflows of a running campaign share with their parent."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field

from mailsluice.message import CompiledMessage
from mailsluice.sending import CampaignRun, RouteResult
from mailsluice.smtp.connection import Connection


@dataclass(slots=True)
class Current:
    """A campaign that this process is sending."""

    run: CampaignRun
    message: CompiledMessage
    connections: dict[str, Connection]
    results: dict[str, RouteResult] = field(default_factory=dict)
    """Filled in by the subflows, by connection."""


current: ContextVar[Current] = ContextVar("current campaign")
