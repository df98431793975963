"""Wait for what another thread, process or server brings about: the one way in all tests.

    eventually(lambda: len(server.received), lambda number: number >= 20)
    await eventually_async(lambda: run.progress(), lambda progress: progress.sent == 5)

An event that the test can wait for is better. Where there is none, the test looks again and again:
at once, then after pauses that grow with the time waited, so that a wait takes a tenth longer than
what it waits for. A look that takes long, such as a request, is followed by a longer pause: looks
keep neither a server nor a slow machine busy. The bound only ends a test that would hang; no test
passes or fails by it on a slow machine.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, overload

T = TypeVar("T")
PATIENCE_SECONDS = 240.0
_SHORTEST_PAUSE_SECONDS = 0.001
_LONGEST_PAUSE_SECONDS = 0.5
_PAUSE_A_LOOK = 4
"""How many times as long as the look before it a pause is: looks take a fifth of the time."""


@overload
def eventually(look: Callable[[], T | None], *, seconds: float = ..., what: str = ...) -> T: ...
@overload
def eventually(
    look: Callable[[], T], holds: Callable[[T], object], *, seconds: float = ..., what: str = ...
) -> T: ...
def eventually(
    look: Callable[[], T],
    holds: Callable[[T], object] = bool,
    *,
    seconds: float = PATIENCE_SECONDS,
    what: str = "",
) -> T:
    """Look until what is seen holds, and return it.

    Args:
        look: Returns what is to be seen now. An error that it raises ends the wait at once.
        holds: Says whether what was seen ends the wait; by default, anything true does.
        seconds: The bound, generous: a wait that reaches it fails.
        what: Words for what is waited for, for the failure's message.

    Raises:
        AssertionError: The bound has passed; the message tells what was seen last.
    """
    patience = _Patience(seconds, what)
    while not holds(seen := look()):
        time.sleep(patience.pause(seen))
        patience.look()
    return seen


@overload
async def eventually_async(
    look: Callable[[], Awaitable[T | None]], *, seconds: float = ..., what: str = ...
) -> T: ...
@overload
async def eventually_async(
    look: Callable[[], Awaitable[T]],
    holds: Callable[[T], object],
    *,
    seconds: float = ...,
    what: str = ...,
) -> T: ...
@overload
async def eventually_async(
    look: Callable[[], T | None], *, seconds: float = ..., what: str = ...
) -> T: ...
@overload
async def eventually_async(
    look: Callable[[], T], holds: Callable[[T], object], *, seconds: float = ..., what: str = ...
) -> T: ...
async def eventually_async(
    look: Callable[[], object],
    holds: Callable[[T], object] = bool,
    *,
    seconds: float = PATIENCE_SECONDS,
    what: str = "",
) -> T:
    """Look as `eventually` does, while the event loop runs on; `look` may return an awaitable."""
    patience = _Patience(seconds, what)
    while True:
        found = look()
        seen = cast("T", await found if inspect.isawaitable(found) else found)
        if holds(seen):
            return seen
        await asyncio.sleep(patience.pause(seen))
        patience.look()


class _Patience:
    def __init__(self, seconds: float, what: str) -> None:
        self._seconds = seconds
        self._what = f"{what}: " if what else ""
        self._began = self._look_began = time.monotonic()

    def look(self) -> None:
        """Note that the next look begins."""
        self._look_began = time.monotonic()

    def pause(self, seen: object) -> float:
        """Return the seconds until the next look; fail if the bound has passed."""
        now = time.monotonic()
        waited = now - self._began
        if waited > self._seconds:
            raise AssertionError(f"{self._what}after {self._seconds:g} s still {seen!r}")
        pause = max(_SHORTEST_PAUSE_SECONDS, waited / 10, _PAUSE_A_LOOK * (now - self._look_began))
        return min(_LONGEST_PAUSE_SECONDS, pause)
