"""The messages of one session, and their outcomes."""

from __future__ import annotations

from collections.abc import Callable

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt
from mailsluice.delivery.envelope_queue import EnvelopeQueue
from mailsluice.delivery.outcome_handler import SessionHistory

Settle = Callable[[Envelope, Attempt, SessionHistory], None]


class SessionFeed(SessionHistory):
    """Gives a session its messages and takes their outcomes. Implements `smtp.session.Feed`."""

    __slots__ = ("_settle", "dot", "next", "next_nowait")

    def __init__(
        self, queue: EnvelopeQueue, dot: Callable[[Envelope], None], settle: Settle
    ) -> None:
        super().__init__()
        self.next = queue.next
        self.next_nowait = queue.next_nowait
        self.dot = dot
        self._settle = settle

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:
        self._settle(envelope, attempt, self)

    def spend(self) -> None:
        self.next, self.next_nowait = _nothing, _nothing_now


async def _nothing() -> None:
    """End the session: it gets no more mail."""


def _nothing_now() -> None:
    """Give no mail ahead."""
