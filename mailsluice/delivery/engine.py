"""The engine's own thread and event loop, so that sending does not share its caller's loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

try:
    from uvloop import new_event_loop
except ImportError:  # uvloop is not installed
    from asyncio import new_event_loop  # type: ignore[assignment]

_Result = TypeVar("_Result")


class Engine:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._run, name="mailsluice-engine", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        """Start a coroutine on the engine's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine on the engine's loop; cancelling the wait cancels the coroutine."""
        return await asyncio.wrap_future(self.submit(work))

    def call(self, function: Any, *arguments: Any) -> None:
        """Call a function on the engine's loop, soon."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def close(self) -> None:
        """End the loop and the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
