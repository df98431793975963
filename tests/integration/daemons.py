"""What the tests' own instances of Debian's servers have in common."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from deployments.server import stop

_START_SECONDS = 20.0


@contextmanager
def running(command: Sequence[str | Path]) -> Iterator[None]:
    """Run it with its children while the `with` block runs: asked to end, then killed."""
    process = subprocess.Popen(
        [str(one) for one in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        stop(process)


def wait_for(greeting: bytes, port: int, log: Path) -> None:
    """Until it greets; fails with what its log says."""
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as link:
                if link.recv(len(greeting)) == greeting:
                    return
        except OSError:
            pass
        if time.monotonic() > deadline:
            said = log.read_text() if log.exists() else "nothing"
            raise RuntimeError(f"it did not start; its log: {said}")
        time.sleep(0.02)
