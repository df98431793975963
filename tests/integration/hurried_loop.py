"""An event loop whose clock can run ahead: a time-out of minutes that takes no time."""

from __future__ import annotations

import asyncio
import selectors
from contextlib import suppress
from typing import Any

import pytest

from mailsluice.delivery import engine
from mailsluice.smtp.link import Fault, Link
from tests.smtpd import SmtpServer


class HurriedLoop(asyncio.SelectorEventLoop):
    """Skips waits once it is told to hurry: where nothing is to be read, its next timer is due.

    So a test need not choose between a time-out that makes it slow and one that a busy machine
    exceeds. Before `hurry` the loop's clock is the real one.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._hurries = False
        self._links: list[asyncio.Transport] = []
        super().__init__(_SkippingSelector(self))

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        """Connect, and remember what this loop has to close in the end."""
        transport, protocol = await super().create_connection(*arguments, **options)
        self._links.append(transport)
        return transport, protocol

    def close(self) -> None:
        """Cut the links that wait for the last word of TLS, then close the loop."""
        while self._links:
            with suppress(AttributeError):  # early versions of Python 3.11, where TLS has ended
                self._links.pop().abort()
            self.run_until_complete(asyncio.sleep(0))
        super().close()

    def time(self) -> float:
        return super().time() + self._ahead

    def hurry(self) -> None:
        """Skip waits from now on; may be called in any thread.

        Whoever calls has written all that this loop is still to read.
        """
        self.call_soon_threadsafe(setattr, self, "_hurries", True)

    def take_time(self) -> None:
        """Wait as other loops do, until `hurry` is called again."""
        self._hurries = False

    def skip(self, seconds: float) -> bool:
        """Set the clock forward, if it is to hurry."""
        if self._hurries:
            self._ahead += seconds
        return self._hurries


class _SkippingSelector(selectors.DefaultSelector):
    def __init__(self, loop: HurriedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        if not timeout or timeout <= 0:
            return super().select(timeout)
        if (ready := super().select(0)) or self._loop.skip(timeout):
            return ready
        return super().select(timeout)


def skip_silence(server: SmtpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have runs skip the wait for replies of a server that hangs, until that wait has timed out.

    The server hangs in one session at a time, and no other reply is under way then.
    """
    drop = Link._drop

    def new_event_loop() -> HurriedLoop:
        loop = HurriedLoop()
        server.script.on_hang = loop.hurry
        return loop

    def drop_and_take_time(link: Link, fault: Fault) -> None:
        if isinstance(link._loop, HurriedLoop):
            link._loop.take_time()
        drop(link, fault)

    monkeypatch.setattr(engine, "new_event_loop", new_event_loop)
    monkeypatch.setattr(Link, "_drop", drop_and_take_time)
