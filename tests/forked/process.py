"""A process of this interpreter, forked where `subprocess.Popen` would start it anew."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver, reduction
from pathlib import Path
from typing import IO, Any

from coverage import process_startup

from tests.fork_server import ADDRESS, PRELOADED

_STANDARD_OUTPUT = 1
_GRACE_SECONDS = 10.0
_context = multiprocessing.get_context("forkserver")
_server: Any = forkserver._forkserver
# Wait for the fork server at exit, so that its processor time counts as that of this process.
atexit.register(_server._stop)


class Forked(subprocess.Popen[Any]):
    """A `subprocess.Popen` for `[sys.executable, "-m", module, ...]`, or with `-c` and a program.

    The process leads a new session. Standard error goes where standard output goes, where `stderr`
    is None where that of the tests goes. It ends when the process that has started it is killed,
    unless it is to outlive that one.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str | os.PathLike[str] | None = None,
        stdin: int | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | None = subprocess.STDOUT,
        umask: int = -1,
        outlives: bool = False,
        **_: object,
    ) -> None:
        self.args = list(command)
        self.stdin = self.stderr = None
        self.stdout, output = _output(stdout)
        self.returncode: int | None = None
        if address := os.environ.get(ADDRESS):
            use(address)
        _context.set_forkserver_preload(PRELOADED)  # counts until the first start
        _server.ensure_running()
        start = _Start(
            [*command[1:]],
            dict(env),
            os.fspath(cwd or Path.cwd()),
            umask,
            joins_output=stderr == subprocess.STDOUT,
            outlives=outlives,
            fork_server=_server._forkserver_address,
        )
        pipes = [_Descriptor(output)]
        if stdin is not None and stdin >= 0:
            pipes.append(_Descriptor(stdin))
        self._process = _context.Process(target=_run, args=(start, *pipes))
        self._process.start()
        if stdout in {subprocess.PIPE, subprocess.DEVNULL}:
            os.close(output)
        assert self._process.pid
        self.pid = self._process.pid
        self.sentinel = self._process.sentinel
        """A descriptor that is readable from the end of the process on."""

    def poll(self) -> int | None:
        """Give the exit status, negative for a signal; None while the process runs."""
        self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process.

        Raises:
            subprocess.TimeoutExpired: The process still runs after `timeout` seconds.
        """
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def communicate(self, *_: object, **__: object) -> tuple[str, None]:
        """Read the output to its end, and wait for the end of the process."""
        assert self.stdout
        with self.stdout as output:
            said = output.read()
        self.wait()
        return said, None


@dataclass(frozen=True)
class _Start:
    arguments: list[str]
    """`-m`, the module and its arguments, or `-c`, the program and its arguments."""
    environment: dict[str, str]
    folder: str
    umask: int
    joins_output: bool
    """Whether standard error goes where standard output goes."""
    outlives: bool
    """Whether it goes on when the process that has started it is killed."""
    fork_server: str | bytes
    """The address of the fork server, for forks of the fork: another one would import all anew."""


class _Descriptor:
    """A file descriptor that goes to the new process with the others of its start."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _detach, (reduction.DupFd(self._number),)


def _detach(descriptor: Any) -> int:
    return int(descriptor.detach())


def _output(stdout: int | IO[Any] | None) -> tuple[IO[str] | None, int]:
    """Give the reading end of a pipe, if one is asked for, and the descriptor to write to."""
    if stdout == subprocess.PIPE:
        read, write = os.pipe()
        return os.fdopen(read), write
    if stdout == subprocess.DEVNULL:
        return None, os.open(os.devnull, os.O_WRONLY)
    return None, _number(stdout)


def _number(stdout: int | IO[Any] | None) -> int:
    if stdout is None:
        return _STANDARD_OUTPUT
    return stdout if isinstance(stdout, int) else stdout.fileno()


def _run(start: _Start, output: int, given: int | None = None) -> None:
    """Become the process that the command names; runs in the fork."""
    os.setsid()
    if start.umask != -1:
        os.umask(start.umask)
    for number in (1, 2) if start.joins_output else (1,):
        os.dup2(output, number)
    os.close(output)
    if given is not None:
        os.dup2(given, 0)
        os.close(given)
        sys.stdin = os.fdopen(0)
    os.chdir(start.folder)
    os.environ.clear()
    os.environ.update(start.environment)
    use(start.fork_server)
    process_startup()  # of coverage, where the environment asks for it
    if not start.outlives:
        threading.Thread(target=_end_with_the_tests, daemon=True).start()
    try:
        execute(start.arguments)
    finally:
        atexit._run_exitfuncs()  # multiprocessing leaves them out


def use(address: str | bytes, alive: int | None = None) -> None:
    """Have forks of this process made by the server with this socket.

    The server may end when all of them have closed the descriptor `alive`.
    """
    _server._forkserver_address = address
    if alive is not None:
        _server._forkserver_alive_fd = alive
    if _server._forkserver_alive_fd is None:  # a fork has it from its parent, for its own forks
        _, _server._forkserver_alive_fd = os.pipe()
    _server.ensure_running = lambda: None


def _end_with_the_tests() -> None:
    """End this process and its children when the process that runs the tests has died."""
    tests = multiprocessing.parent_process()
    assert tests
    tests.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os.killpg(os.getpid(), signal.SIGKILL)


def execute(arguments: list[str]) -> None:
    """Run what an interpreter with these arguments would run: `-m ...` or `-c ...`."""
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()
    kind, subject, *rest = arguments
    if kind == "-m":
        sys.argv = [subject, *rest]
        runpy.run_module(subject, run_name="__main__", alter_sys=True)
    else:
        sys.argv = ["-c", *rest]
        exec(compile(subject, "<string>", "exec"), {"__name__": "__main__"})
