"""A transport without a network."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable


class FakeTransport(asyncio.Transport):
    """A transport that keeps the written bytes."""

    def __init__(self, *, closing: bool = False) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = closing
        self.full_at = sys.maxsize
        self.full: Callable[[], None] = lambda: None
        """Called after a write of `full_at` bytes or more."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        if len(data) >= self.full_at:
            self.full()

    def abort(self) -> None:
        self.closing = True

    def close(self) -> None:
        self.closing = True
