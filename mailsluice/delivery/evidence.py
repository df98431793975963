"""The evidence of a sequential test, and the upper bound of a rate. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

_DOUBT = math.log(1_000)


class Cusum:
    """Page's CUSUM: the odds for a change, as a logarithm, which never fall below even."""

    __slots__ = ("ahead", "enough", "value")

    def __init__(self, enough: float) -> None:
        self.enough = enough
        self.value = 0.0
        self.ahead = 0.0
        """The sum of the positive weights that are known but not added yet."""

    def weigh(self, weight: float) -> None:
        """Add a weight that was known before."""
        self.ahead -= max(0.0, weight)
        self.value = max(0.0, self.value + weight)

    @property
    def is_enough(self) -> bool:
        """Whether the odds suffice."""
        return self.value >= self.enough

    def would_be_enough(self, weights: Iterable[float]) -> bool:
        """Whether the odds suffice at some point while these weights are added."""
        value = self.value
        for weight in weights:
            value = max(0.0, value + weight)
            if value >= self.enough:
                return True
        return False


def at_most(times: int, among: int) -> float:
    """The upper bound of a rate, right in 999 cases of 1,000 (Chernoff's bound)."""
    if not among:
        return 1.0
    seen = times / among
    low, high = seen, 1.0
    while high - low > 1e-6:
        rate = (low + high) / 2
        low, high = (low, rate) if among * _divergence(seen, rate) >= _DOUBT else (rate, high)
    return high


def _divergence(seen: float, rate: float) -> float:
    """The Kullback-Leibler divergence of two coins."""
    heads = seen * math.log(seen / rate) if seen else 0.0
    tails = (1 - seen) * math.log((1 - seen) / (1 - rate)) if seen < 1 else 0.0
    return heads + tails
