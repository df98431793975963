"""Return memory to the system that a large, finished step has freed.

The C library and Arrow keep freed memory for later. After a launch that is for nothing: sending
needs little, for hours.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from typing import Any


def return_memory() -> None:
    """Return what is free; where the C library cannot, do nothing. Takes some milliseconds."""
    gc.collect()
    arrow: Any = sys.modules.get("pyarrow")
    if arrow is not None:
        arrow.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
