"""Run coroutines beside a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager


@asynccontextmanager
async def beside(*work: Awaitable[object]) -> AsyncIterator[None]:
    """Run coroutines while the `with` block runs.

    At the end of the block they are cancelled, and have ended when the `with` statement has. What
    they raise is not raised again: coroutines that may fail say so themselves.
    """
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
