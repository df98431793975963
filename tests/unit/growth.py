"""Measure whether the work for a text grows in proportion to its length."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from typing import TypeVar

Given = TypeVar("Given")

TIMES = 8
"""The length of the long text, as a multiple of the short one's."""
_LIMIT = 2.5**3
"""The most work for eight times the text: linear work is 8 times as much, quadratic 64 times."""
_LOOKS = 5


def is_in_proportion(
    work: Callable[[Given], object], short: Given, long: Given, nothing: float
) -> bool:
    """Whether the work for a text `TIMES` as long takes about `TIMES` as much processor time.

    Work of less than `nothing` seconds for the long text is always in proportion. The steps of a
    regular expression cannot be counted, so processor time is measured. Of several measurements of
    each text, taken in turn, the least counts, since other load makes measurements only slower.
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
    """Return the processor time, without garbage collection, which depends on the whole heap."""
    gc.disable()
    try:
        begun = time.process_time()
        work(given)
        return time.process_time() - begun
    finally:
        gc.enable()
