"""Ask for the next message while the session waits for replies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mailsluice.core.envelope import Envelope
from mailsluice.smtp.in_flight import InFlight


class Ahead:
    """Asks for the next envelope; calls `wake` when an envelope arrives later."""

    def __init__(self, flight: InFlight, wake: Callable[[], None]) -> None:
        self._flight = flight
        self._wake = wake
        self._coming: asyncio.Future[Envelope | None] | None = None
        self._is_over = False

    def take(self) -> Envelope | None:
        """Return the next envelope, if it may be sent at once."""
        if self._is_over:
            return None
        if self._coming is None:
            if envelope := self._flight.next_nowait():
                return envelope
            self._coming = asyncio.ensure_future(self._flight.next())
            self._coming.add_done_callback(lambda _: self._wake())
        return self._come(self._coming) if self._coming.done() else None

    @property
    def coming(self) -> asyncio.Future[Envelope | None] | None:
        """The envelope that was asked for and has not been taken yet."""
        return self._coming

    async def close(self) -> None:
        """Stop asking. An envelope that has arrived is in flight, and settled with the session."""
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.gather(self._coming, return_exceptions=True)

    def _come(self, coming: asyncio.Future[Envelope | None]) -> Envelope | None:
        envelope = coming.result()
        self._coming, self._is_over = None, envelope is None
        return envelope
