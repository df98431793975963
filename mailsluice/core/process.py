"""Processes, and whether they live, as far as that can be told from where this one runs."""

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
    """A process, told from all others: its number is used again once it is dead."""

    pid: int
    started: int
    """In ticks since the boot; 0 where that is unknown."""
    place: str
    """The boot and the container that its number holds in; empty where that is unknown."""

    @classmethod
    def own(cls) -> Process:
        """This process."""
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
        """Whether another process lives; None where that cannot be told: say, another machine."""
        own = Process.own()
        if not (own.place and own.started) or self.place != own.place or self == own:
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it is another user's
        started = _started(self.pid)
        return started is None or started == self.started


def _started(pid: int) -> int | None:
    """When it was started; 0 where it is dead and only not waited for; None: nobody may look."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return 0 if fields[0] in "ZX" else int(fields[_STAT_START])


def _place() -> str:
    with suppress(OSError):
        return f"{_BOOT_ID.read_text().strip()}/{_NAMESPACE.readlink().name}"
    return ""
