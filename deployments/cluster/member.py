"""A process of a cluster, which can be started, watched, stopped, killed and restarted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen, TimeoutExpired

import psutil

from mailsluice.core.errors import MailsluiceError
from mailsluice.core.private import private_opener

START_SECONDS = 600.0
"""Time for a start. A start took 200 s on a busy machine; a process that takes longer hangs."""
STOP_SECONDS = 20.0
_LOOK_SECONDS = 0.05


class ClusterError(MailsluiceError):
    """A cluster cannot be started, or one of its processes is not what it should be."""


@dataclass
class Member:
    """A process that leads a process group of its own, with its output in a log file.

    A start polls `is_ready` until it returns true. If root starts the process, it runs as `user`.
    `stop_signal` makes the process end in good order; `kill_signal` imitates a lost machine.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    is_ready: Callable[[], bool] = lambda: True
    user: str | None = None
    standard_input: str = ""
    folder: Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    kill_signal: signal.Signals = signal.SIGKILL
    process: Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the process. Raises ClusterError if the process is not running."""
        if self.process is None:
            raise ClusterError(f"{self.name} is not running: start it")
        return self.process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is running."""
        return self.process is not None and self.process.poll() is None

    def start(self, *, wait: bool = True) -> None:
        """Start the process, and wait until it is ready. Raises ClusterError if the start fails."""
        with open(self.log, "ab", opener=private_opener) as log:
            self.process = Popen(
                self.command,
                env=dict(self.environment),
                stdin=PIPE,
                stdout=log,
                stderr=STDOUT,
                start_new_session=True,  # Ctrl-C is ours: members are ended in their order
                cwd=self.folder,
                umask=0o077,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )
        assert self.process.stdin is not None  # noqa: S101 - a pipe was asked for
        with suppress(BrokenPipeError), self.process.stdin as pipe:
            pipe.write(self.standard_input.encode())
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self, seconds: float = START_SECONDS) -> None:
        """Wait for `is_ready`. Raises ClusterError if the process ends or the time is up."""
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            if not self.is_running:
                raise ClusterError(
                    f"{self.name} ended: {self._last_words()} (all of it: {self.log})"
                )
            if time.monotonic() > deadline:
                raise ClusterError(f"{self.name} is not up after {seconds:.0f} s: see {self.log}")
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """Ask the process to end, and kill what is left of its group after STOP_SECONDS."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End the process and its descendants at once, without a chance to clean up."""
        self._end(self.kill_signal)

    def restart(self) -> None:
        """Stop the process, start it again, and wait until it is ready."""
        self.stop()
        self.start()

    def run(self) -> None:
        """Run a process that ends by itself (a step). Raises ClusterError if it fails."""
        self.start(wait=False)
        self.finish()

    def finish(self) -> None:
        """Wait for the end of a step. Raises ClusterError if it fails."""
        if self.process is not None and self.process.wait(START_SECONDS):
            raise ClusterError(f"{self.name} failed: {self._last_words()} (all of it: {self.log})")

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        started = _descendants(self.process.pid)  # runs of a worker are in groups of their own
        if number == signal.SIGKILL:
            self._kill(started)
            return
        try:
            self.process.send_signal(number)
            self.process.wait(STOP_SECONDS)
        except TimeoutExpired:
            pass
        finally:
            self._kill(started)

    def _kill(self, started: Sequence[psutil.Process]) -> None:
        assert self.process is not None  # noqa: S101 - callers check this
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for one in started:
            with suppress(psutil.NoSuchProcess):  # psutil notices a reused pid
                one.kill()
        psutil.wait_procs(started, STOP_SECONDS)
        self.process.wait()

    def _last_words(self) -> str:
        words = self.log.read_text(errors="replace").strip().splitlines()[-3:]
        return " / ".join(words) or "it said nothing"


def _descendants(pid: int) -> list[psutil.Process]:
    """The processes below a process: its children, their children, and so on."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
