"""The power of a comparison by the arcsine transformation (Cohen, 1988, chapter 6). Pure.

Functions import SciPy and statsmodels when they need them; `mantel_haenszel` says why.
"""

from __future__ import annotations

import math

POWER = 0.8
"""The probability that a difference of the requested size is found."""


def needed(rate: float, difference: float, alpha: float) -> float:
    """The mail that each of two connections needs to show a difference from `rate`.

    For equal numbers of mail and a two-sided test at the level `alpha`, with POWER.
    """
    from statsmodels.stats.proportion import proportion_effectsize

    effect = proportion_effectsize(min(rate + difference, 1), rate)
    return float(2 * (_standard_errors(alpha) / effect) ** 2)


def smallest_shown(rate: float, first: float, second: float, alpha: float) -> float:
    """The smallest increase over `rate` that this much mail of both shows with POWER."""
    effect = _standard_errors(alpha) * math.sqrt(1 / first + 1 / second)
    angle = math.asin(math.sqrt(rate)) + effect / 2
    return math.sin(min(angle, math.pi / 2)) ** 2 - rate


def _standard_errors(alpha: float) -> float:
    """The effect that is shown with POWER, in standard errors."""
    from scipy.stats import norm

    return float(norm.isf(alpha / 2) + norm.ppf(POWER))
