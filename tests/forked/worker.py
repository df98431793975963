"""A worker of a cluster whose runs are forks: `python -m tests.forked.worker worker start ...`.

The runs are children of a fork server, which is a child of the worker: what kills the worker's
machine kills them, too, and what kills the worker alone leaves them.
"""

from __future__ import annotations

import os
import runpy
from itertools import count
from multiprocessing import forkserver
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Any
from unittest.mock import patch

from prefect.runner import _starter_engine
from prefect.utilities.processutils import run_process as start_interpreter

from tests.forked import process, serve

_SUPERVISOR = "prefect.runner._workspace_supervisor"
_runs = count()


async def run_process(command: list[str], **options: Any) -> None:
    """Do as Prefect's function of this name; the first run of worker-1 is no fork."""
    if not next(_runs) and Path(os.environ["PREFECT_HOME"]).name == "worker-1":
        await start_interpreter(command, **options)
        return
    forked = ["tests.forked.supervisor" if part == _SUPERVISOR else part for part in command]
    await serve.run_process(forked, **options, outlives=True)


def start_fork_server() -> None:
    """Fork the server off this process, which has no thread yet but one that waits."""
    with socket(AF_UNIX) as listener:
        listener.bind("")  # an abstract address: no file
        listener.listen()
        alive, held = os.pipe()
        if not os.fork():
            os.close(held)
            try:
                forkserver.main(listener.detach(), alive, [])
            finally:
                os._exit(0)
        os.close(alive)
        process.use(listener.getsockname(), held)


if __name__ == "__main__":
    start_fork_server()
    with patch.object(_starter_engine, "run_process", run_process):
        runpy.run_module("prefect", run_name="__main__", alter_sys=True)
