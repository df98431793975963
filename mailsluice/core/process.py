"""Identify processes, and tell whether they are alive, as far as this process can tell."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
_STAT_START = 22 - 3  # `starttime`, counted from the state, see proc(5)


@dataclass(frozen=True, slots=True)
class Process:
    """The identity of a process. A pid alone is not enough: the system reuses pids."""

    pid: int
    started: int
    """The time of its start, in ticks since the boot; 0 if unknown."""
    place: str
    """The boot and the container in which the pid is valid; empty if unknown."""

    @classmethod
    def own(cls) -> Process:
        """Return the identity of this process."""
        pid = os.getpid()
        return cls(pid, _started(pid) or 0, _place())

    @classmethod
    def parse(cls, text: str) -> Process:
        """Rebuild a process from the result of `str`. Raises ValueError."""
        pid, started, place = text.split(",")
        return cls(int(pid), int(started), place)

    def __str__(self) -> str:
        return f"{self.pid},{self.started},{self.place}"

    def lives(self) -> bool | None:
        """Whether another process is alive; None if unknown, for example on another machine."""
        own = Process.own()
        if not (own.place and own.started) or self.place != own.place or self == own:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # the process is another user's
        started = _started(self.pid)
        return started is None or started == self.started


def _started(pid: int) -> int | None:
    """Return the time of a process's start; 0 for a zombie; None if it cannot be read."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return 0 if fields[0] in "ZX" else int(fields[_STAT_START])


def _place() -> str:
    with suppress(OSError):
        return f"{_BOOT_ID.read_text().strip()}/{_NAMESPACE.readlink().name}"
    return ""
