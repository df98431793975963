"""One fork server for all processes of pytest-xdist: each would spend five seconds on its imports.

The process that starts the others listens on the server's socket, and starts the server as soon as
a test asks for the first fork. A run without such tests starts none.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from select import select
from socket import AF_UNIX, socket

import pytest

ADDRESS = "MAILSLUICE_TESTS_FORK_SERVER"
"""The variable that names the server's socket to the processes of pytest-xdist."""
PRELOADED = ["tests.forked.imports"]
_ROOT = Path(__file__).resolve().parents[1]
_PROGRAM = "from multiprocessing.forkserver import main; main({}, {}, {!r})"
_COVERAGE = "COVERAGE_PROCESS_CONFIG"
"""The variable that starts coverage in an interpreter; `tests.forked.process` does so in forks."""


class CommonServer:
    """The fork server and its socket; a plugin of the process that starts the others."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mailsluice-forks-")
        address = str(Path(self._folder.name) / "socket")
        self._listener = socket(AF_UNIX)
        self._listener.bind(address)
        self._listener.listen()
        self._end, self._held = os.pipe()
        """The thread and the server end when `_held` is closed, by this process or at its end."""
        os.environ[ADDRESS] = address
        self._thread = threading.Thread(target=self._start_when_asked, daemon=True)
        self._thread.start()

    def pytest_unconfigure(self) -> None:
        """End the server, and wait for it: its processor time counts as that of this process."""
        del os.environ[ADDRESS]
        os.close(self._held)
        self._thread.join()
        os.close(self._end)
        self._listener.close()
        self._folder.cleanup()

    def _start_when_asked(self) -> None:
        asked, _, _ = select([self._listener.fileno(), self._end], [], [])
        if self._end in asked:
            return
        passed = (self._listener.fileno(), self._end)
        subprocess.run(
            [sys.executable, "-c", _PROGRAM.format(*passed, PRELOADED)],
            cwd=_ROOT,
            env={name: value for name, value in os.environ.items() if name != _COVERAGE},
            pass_fds=passed,
            check=False,
        )


def register(config: pytest.Config) -> None:
    """Listen for forks if this process is the one that starts the others."""
    is_one_of_them = hasattr(config, "workerinput")
    if getattr(config.option, "numprocesses", None) and not is_one_of_them:
        config.pluginmanager.register(CommonServer())
