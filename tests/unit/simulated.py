"""How many trials the simulations of statistical bounds make."""

from __future__ import annotations

import os

# `make simulations` sets it to 10.
TIMES = int(os.environ.get("SIMULATED_TIMES", "1"))
