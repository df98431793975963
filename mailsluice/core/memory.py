"""Return memory to the system that a large step has freed.

The C library and Arrow keep freed memory for later. After a launch that is for nothing: sending
needs little, for hours. During a launch, pieces that stay between those that are freed make the
process grow.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Any

_LARGE = 100_000
"""Rows from which on there is enough memory to be worth the search for it."""


def return_memory(rows: int) -> None:
    """Return what a step with so many rows has freed; after a small step, do nothing.

    The garbage collection looks at all objects of the process: tens of milliseconds with Prefect.
    """
    if rows < _LARGE:
        return
    gc.collect()
    _trim()


class Trimming:
    """Returns freed memory during a step, each time that many rows have been processed.

    Does so a few times a million rows, since each time costs some milliseconds.
    """

    def __init__(self) -> None:
        self._rows = 0

    def processed(self, rows: int) -> None:
        """Count rows that were processed."""
        self._rows += rows
        if self._rows >= _LARGE:
            self._rows = 0
            _trim()


def _trim() -> None:
    arrow: Any = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
