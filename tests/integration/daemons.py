"""What the tests' own instances of Debian's servers have in common."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployments.server import stop
from tests.eventually import PATIENCE_SECONDS


def require(program: Path, package: str) -> None:
    """Skips the test where the program cannot run; in CI the test fails, since CI has them all."""
    if program.exists() and os.geteuid() == 0:
        return
    reason = f"{package} starts as root only"
    if not program.exists():
        reason = f"there is no {program.name} here: apt-get install {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI has to test with {package}: {reason}")
    pytest.skip(reason)


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
    deadline = time.monotonic() + PATIENCE_SECONDS
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
