"""How replies leave a test server: at once, late, or in pieces."""

from __future__ import annotations

import asyncio
from collections import deque


class Output:
    """Keeps the order, whatever the delay; the end of the link waits for its turn as well."""

    def __init__(
        self, transport: asyncio.Transport, delay_seconds: float, piece: int | None
    ) -> None:
        self.transport = transport
        self._delay = delay_seconds
        self._piece = piece
        self._queue: deque[bytes | None] = deque()

    def write(self, data: bytes) -> None:
        if not data:
            return
        if self._delay:
            self._later(data)
        elif self._piece is None:
            self.transport.write(data)
        else:
            for start in range(0, len(data), self._piece):
                self._later(data[start : start + self._piece])

    def close(self) -> None:
        if self._queue:
            self._later(None)
        else:
            self.transport.close()

    def _later(self, data: bytes | None) -> None:
        self._queue.append(data)
        loop = asyncio.get_running_loop()
        loop.call_later(self._delay, self._next) if self._delay else loop.call_soon(self._next)

    def _next(self) -> None:
        data = self._queue.popleft()
        if data is None:
            self.transport.close()
        elif not self.transport.is_closing():
            self.transport.write(data)
