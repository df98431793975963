"""`make serve` whose Prefect server and runs are forks: `python -m tests.forked.serve`.

The server calls SQLite without threads. A Prefect server that `tests/served` starts without
`make serve` uses threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import patch

import anyio
import anyio.abc
from prefect.runner._process_manager import ProcessHandle

from deployments import serve
from tests.forked.process import Forked
from tests.forked.server import Unthreaded


async def run_process(
    command: list[str],
    *,
    env: Mapping[str, str],
    cwd: Path | str | None,
    task_status: anyio.abc.TaskStatus[ProcessHandle],
    task_status_handler: Callable[[Forked], ProcessHandle],
    outlives: bool = False,
    **_: object,
) -> None:
    """Do as Prefect's function of this name, for the process of a run."""
    process = Forked(command, env=env, cwd=cwd, outlives=outlives)
    task_status.started(task_status_handler(process))
    try:
        await anyio.wait_readable(process.sentinel)
    finally:
        process.terminate()
        with anyio.CancelScope(shield=True):
            await anyio.wait_readable(process.sentinel)
        process.wait()


def main() -> None:
    """Serve until a signal ends the process."""
    with (
        patch("deployments.server.Popen", Unthreaded),
        patch("prefect.runner._starter_engine.run_process", run_process),
    ):
        serve.main()


if __name__ == "__main__":
    main()
