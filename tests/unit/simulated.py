"""The number of trials in simulations of statistical bounds."""

from __future__ import annotations

import os

from tests.thorough import IS_THOROUGH

# `make simulations` sets it to 10.
TIMES = float(os.environ.get("SIMULATED_TIMES", "1" if IS_THOROUGH else "0.2"))


def trials(count: int) -> int:
    """Give the number of trials where a thorough run does so many."""
    return round(count * TIMES)
