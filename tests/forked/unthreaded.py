"""A Prefect server that calls SQLite in its only thread: `python -m tests.forked.unthreaded`.

aiosqlite hands each call to a thread of its connection and waits, five times in a short request.
That is an eighth of the processor time of a request, and SQLite itself a fiftieth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from deployments.prefect_server import __main__ as program


class _AtOnce:
    """Instead of the queue to a connection's thread: calls what is put in at once."""

    def put_nowait(self, call: tuple[asyncio.Future[Any] | None, Callable[[], Any]]) -> None:
        future, function = call
        try:
            result = function()
        except Exception as error:  # noqa: BLE001 - the caller awaits it
            if future:
                future.set_exception(error)
        else:
            if future:
                future.set_result(result)


def main() -> None:
    """Serve until a signal ends the process."""
    with (
        patch("aiosqlite.core.SimpleQueue", _AtOnce),
        patch("aiosqlite.core._connection_worker_thread", lambda _: None),
    ):
        program.main()


if __name__ == "__main__":
    main()
