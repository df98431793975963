"""An event loop whose time is simulated: it passes only where all tasks wait, and then at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class _Skipping(selectors.DefaultSelector):
    """Adds the time that it is asked to wait to a clock, instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:  # tasks are ready: no need to ask the system
            return []
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("all tasks wait, and none for a moment")
            self.now += timeout
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Runs timers in their order, however long they wait."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._skipping.now


def run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine in simulated time, which begins at 0."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(work)
