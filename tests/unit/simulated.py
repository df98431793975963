"""Simulations of statistical bounds: how many trials they have, and what chance allows."""

from __future__ import annotations

import os

from tests.thorough import IS_THOROUGH

# `make simulations` sets it to 10.
TIMES = float(os.environ.get("SIMULATED_TIMES", "1" if IS_THOROUGH else "0.1"))
_CHANCE = 1e-4


def trials(count: int) -> int:
    """Give the number of trials where a thorough run does so many."""
    return round(count * TIMES)


def at_most(count: int, share: float) -> float:
    """Return how many events of probability `share` are exceeded once in 10,000 times.

    `count` is the number of trials.
    """
    from scipy.stats import binom  # the import takes half a second

    return float(binom.isf(_CHANCE, count, share))


def at_least(count: int, share: float) -> float:
    """Return below how many events of probability `share` there are once in 10,000 times.

    `count` is the number of trials.
    """
    from scipy.stats import binom

    return float(binom.ppf(_CHANCE, count, share))
