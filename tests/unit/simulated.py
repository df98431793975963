"""The number of trials in simulations of statistical bounds."""

from __future__ import annotations

import os

# `make simulations` sets it to 10.
TIMES = int(os.environ.get("SIMULATED_TIMES", "1"))
