"""How many of its slots a process gives up. Pure."""

from __future__ import annotations


def surplus(limit: int, taken: int, held: int, uniform: float) -> int:
    """How many of the slots it holds a process gives up where more are taken than the limit.

    Its part of what is too many. A fraction is one more by that chance (`uniform` is a number from
    0 to 1): processes that hold one each do not all end theirs for a limit lowered by one.
    """
    if taken <= limit or not held:
        return 0
    part = (taken - limit) * held / max(taken, held)
    return min(held, int(part) + (uniform < part % 1))
