"""How the work for a text grows with its length."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from typing import TypeVar

Given = TypeVar("Given")

TIMES = 8
"""How much longer the long text is than the short one."""
_LIMIT = 2.5**3
"""Times the work for eight times the text: 8 in proportion to its length, 64 to its square."""
_LOOKS = 5


def is_in_proportion(
    work: Callable[[Given], object], short: Given, long: Given, nothing: float
) -> bool:
    """Whether the work for a text `TIMES` as long takes about `TIMES` the processor time.

    Less than `nothing` seconds for the long text is always in proportion. The steps of a regular
    expression cannot be counted, so processor time has to do: the least of several readings of
    each, taken in turn, because other load makes some readings slow and none fast.
    """
    for_long = _seconds(work, long)
    for_short = math.inf
    for _ in range(_LOOKS):
        if for_long <= nothing:
            return True
        for_short = min(for_short, _seconds(work, short))
        if for_long <= _LIMIT * for_short:
            return True
        for_long = min(for_long, _seconds(work, long))
    return False


def _seconds(work: Callable[[Given], object], given: Given) -> float:
    """The processor time, without garbage collection: it grows with what else is in memory."""
    gc.disable()
    try:
        begun = time.process_time()
        work(given)
        return time.process_time() - begun
    finally:
        gc.enable()
