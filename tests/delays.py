"""Random delays where threads hand work over: `DELAYS=1 make test` finds races.

On a busy machine a thread may be interrupted for long at any place. A test, or the product, that
works because one thread happens to be faster than the other fails there once in a hundred runs.
With DELAYS these interruptions come often, at the places where threads hand something over: before
and after a call in another thread, before its result reaches the loop, at a thread's start, before
a transaction of the state database, and before a reply of a test's mail server.

The value of DELAYS is the seed: with the same seed a test gets the same delays, as far as its
threads run in the same order.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import sleep  # a test may replace `time.sleep`
from typing import Any

import pytest

SEED = os.environ.get("DELAYS", "")
_SHARE = 0.3
_LONGEST_SECONDS = 0.05


class Delays:
    """A plugin of pytest that interrupts threads at random."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._chance = random.Random(seed)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Begin a test with random numbers of its own."""
        self._chance = random.Random(f"{self._seed} {item.nodeid}")

    def interrupt(self) -> None:
        """Stop this thread for some milliseconds, in a share of the calls."""
        if self._chance.random() < _SHARE:
            sleep(self._chance.uniform(0, _LONGEST_SECONDS))

    def install(self) -> None:
        """Interrupt threads from now on, at all places where they hand something over."""
        from mailsluice.store import Database
        from tests.smtpd.output import Output

        self._install_in_threads()
        self._install_before(Database, "write")
        self._install_before(Output, "write")

    def _install_before(self, owner: type, name: str) -> None:
        function = getattr(owner, name)

        def interrupted(*args: Any, **options: Any) -> Any:
            self.interrupt()
            return function(*args, **options)

        setattr(owner, name, interrupted)

    def _install_in_threads(self) -> None:
        submit, run = ThreadPoolExecutor.submit, threading.Thread.run
        call_soon_threadsafe = asyncio.BaseEventLoop.call_soon_threadsafe

        def interrupted(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*args: Any, **options: Any) -> Any:
                self.interrupt()
                try:
                    return function(*args, **options)
                finally:
                    self.interrupt()

            return call

        def submit_interrupted(
            pool: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **options: Any
        ) -> Future[Any]:
            return submit(pool, interrupted(function), *args, **options)

        def run_interrupted(thread: threading.Thread) -> None:
            self.interrupt()
            run(thread)

        def call_soon_interrupted(
            loop: asyncio.BaseEventLoop, *args: Any, **options: Any
        ) -> asyncio.Handle:
            if threading.get_ident() != getattr(loop, "_thread_id", None):
                self.interrupt()
            return call_soon_threadsafe(loop, *args, **options)

        ThreadPoolExecutor.submit = submit_interrupted  # type: ignore[method-assign, assignment]
        threading.Thread.run = run_interrupted  # type: ignore[method-assign, assignment]
        asyncio.BaseEventLoop.call_soon_threadsafe = call_soon_interrupted  # type: ignore[method-assign, assignment]


def register(config: pytest.Config) -> None:
    """Interrupt threads where DELAYS asks for it."""
    if SEED:
        delays = Delays(SEED)
        delays.install()
        config.pluginmanager.register(delays)
