"""Test a rate against a limit, after every message or every thousand. Pure.

The likelihood ratio of a bad rate to half the limit grows where the limit is passed, and shrinks
where the rate is fine (A. Wald, "Sequential Tests of Statistical Hypotheses", 1945). At a rate of
half the limit or less, the ratio ever reaches c with a probability of 1 / c at most, however often
it is looked at (J. Ville, 1939). There are three bad rates: the limit, 90 %, and one between them;
so a rate just above the limit is found at all, and one of 100 % after a few messages.

`RateTest` starts anew wherever the ratio falls below one (E. S. Page, "Continuous Inspection
Schemes", 1954), since a connection may be blocked after a million accepted messages. A ratio is
highest when it starts with a failure. At half the limit that is the case at no more than half of
the limit of all messages, and a bad rate of `p` makes the first failure worth 2 p / limit. So with
a threshold of `ODDS` times `p`, each message starts a false stop with a probability of 1 / `ODDS`
at most. Three bad rates, three measures, and two units (a provider on its connection, and the
connection) make 18 tests: in 100,000 messages at half of all limits, the probability of any false
stop is at most 100,000 x 18 / ODDS = 0.5 %.

Evidence against a rate of half the limit is not enough: the share that was seen must be above the
limit, too.
"""

from __future__ import annotations

import math

ODDS = 3.6e8
LEAST = 3
"""So few failures are never enough."""
_WORST = 0.9


class _Evidence:
    """The evidence for one rate that is too high, against half the limit."""

    __slots__ = ("_enough", "_failure", "_failures", "_limit", "_of", "_success", "_value")

    def __init__(self, rate: float, limit: float) -> None:
        self._limit = limit
        self._failure = math.log(2 * rate / limit)
        self._success = math.log((1 - rate) / (1 - limit / 2))
        self._enough = math.log(ODDS * rate)
        self._value, self._failures, self._of = 0.0, 0, 0

    def weigh(self, failures: int, of: int) -> None:
        """Add to the logarithm of the likelihood ratio, or start anew where that is worse."""
        self._value += failures * self._failure + (of - failures) * self._success
        self._failures += failures
        self._of += of
        if self._value <= 0:
            self._value, self._failures, self._of = 0.0, 0, 0

    @property
    def is_enough(self) -> bool:
        """Whether the ratio is high enough, and the share that was seen above the limit."""
        return self._value >= self._enough and self._failures > self._limit * self._of


def _against(limit: float) -> list[_Evidence]:
    return [_Evidence(rate, limit) for rate in (limit, math.sqrt(limit * _WORST), _WORST)]


class RateTest:
    """The evidence that a rate is above its limit, since the worst moment to start."""

    def __init__(self, limit: float) -> None:
        """`limit` is a fraction below 0.9."""
        self._evidence = _against(limit)

    def weigh(self, failures: int, of: int) -> None:
        """Take the next messages into account: so many failures of so many."""
        for evidence in self._evidence:
            evidence.weigh(failures, of)

    @property
    def is_passed(self) -> bool:
        """Whether the evidence is enough."""
        return any(evidence.is_enough for evidence in self._evidence)


def is_above(limit: float, failures: int, of: int) -> bool:
    """Whether the sums so far, looked at again and again, are enough evidence.

    For failures that become known long after their messages, when only the sums tell something.
    """
    if not _are_many(limit, failures, of):
        return False
    test = RateTest(limit)
    test.weigh(failures, of)
    return test.is_passed


def is_above_at_once(limit: float, failures: int, of: int, *, alpha: float) -> bool:
    """Whether the numbers are enough evidence in a single look, for which fewer messages suffice.

    At half the limit so many failures have a probability of `alpha` at most: an exact binomial
    test, but for the tail, whose terms shrink at least as fast as the first two of them.
    """
    if not _are_many(limit, failures, of):
        return False
    fine = limit / 2
    term = (
        (math.lgamma(of + 1) - math.lgamma(failures + 1) - math.lgamma(of - failures + 1))
        + failures * math.log(fine)
        + (of - failures) * math.log1p(-fine)
    )
    shrinks = (of - failures) * fine / ((failures + 1) * (1 - fine))
    return term - math.log1p(-shrinks) <= math.log(alpha)


def _are_many(limit: float, failures: int, of: int) -> bool:
    return failures >= LEAST and failures > limit * of
