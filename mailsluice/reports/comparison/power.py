"""How much mail shows which difference of two rates: by the arcsine (Cohen, 1988, chapter 6).

SciPy and statsmodels are imported where they are used, see `mantel_haenszel`.
"""

from __future__ import annotations

import math

POWER = 0.8
"""How often a difference of the size that is asked for is found."""


def needed(rate: float, difference: float, alpha: float) -> float:
    """Mail of each of two connections, the same number, to find `rate` against `rate + difference`.

    Two-sided at the level `alpha`, with POWER.
    """
    from statsmodels.stats.proportion import proportion_effectsize

    effect = proportion_effectsize(min(rate + difference, 1), rate)
    return float(2 * (_standard_errors(alpha) / effect) ** 2)


def smallest_shown(rate: float, first: float, second: float, alpha: float) -> float:
    """The smallest difference from `rate` up that this much mail of both finds with POWER."""
    effect = _standard_errors(alpha) * math.sqrt(1 / first + 1 / second)
    angle = math.asin(math.sqrt(rate)) + effect / 2
    return math.sin(min(angle, math.pi / 2)) ** 2 - rate


def _standard_errors(alpha: float) -> float:
    """How many of them away from 0 the effect has to be."""
    from scipy.stats import norm

    return float(norm.isf(alpha / 2) + norm.ppf(POWER))
