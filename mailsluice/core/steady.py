"""A clock that nobody can set: seconds since the machine's start, its sleep included.

Everything that waits within a process goes by this clock. Moments that several processes share go
by the state database's clock; `mailsluice.limits.Timekeeper` reconciles the two.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_NAMESPACE = Path("/proc/self/ns/time")

# The moment, in seconds; comparable with other processes of the same `steady_name`. Where there is
# no CLOCK_BOOTTIME, CLOCK_MONOTONIC counts sleep already, or nothing does.
steady: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    if hasattr(time, "CLOCK_BOOTTIME")
    else time.monotonic
)


def steady_name() -> str:
    """Name this clock apart from those of other machines, boots and containers; empty: unknown."""
    with suppress(OSError):
        boot = _BOOT_ID.read_text().strip()
        namespace = _TIME_NAMESPACE.readlink().name if _TIME_NAMESPACE.is_symlink() else ""
        return f"{boot} {namespace}".strip()
    return ""
