"""Comparing two connections in one measure. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mailsluice.reports.comparison import mantel_haenszel
from mailsluice.reports.comparison.observed import Measure
from mailsluice.reports.comparison.strata import Pair, Strata
from mailsluice.reports.comparison.wilson import wilson


@dataclass(frozen=True, slots=True)
class Contrast:
    """The comparison of two connections in one measure; rates and differences are fractions."""

    measure: Measure
    first: str
    second: str
    strata: int
    """Strata in which both connections have mail."""
    mail: tuple[int, int]
    """Mail of both connections in these strata."""
    sizes: tuple[float, float]
    """Mail that would be as informative without strata."""
    rates: tuple[float, float]
    """Rates of both over the same mix of strata, by the weights of Mantel and Haenszel."""
    interval: tuple[float, float]
    """The interval of the difference, first minus second."""
    rate: float
    """The rate of both together for planning, never 0 or 1 (Agresti and Coull, 1998)."""
    odds_ratio: float | None
    p_value: float | None
    """None when no message had the outcome, or all had."""
    homogeneity: float | None
    """The p-value of equal odds ratios in all strata; None with too little mail."""
    opposed: tuple[str, ...]
    """Strata that show the opposite of the whole, when odds ratios differ between strata."""

    @property
    def difference(self) -> float:
        return self.rates[0] - self.rates[1]


def contrast(
    strata: Strata, measure: Measure, first: str, second: str, confidence: float
) -> Contrast | None:
    """Compare two connections over the strata where both have mail; None without any."""
    pair = strata.pair(measure, first, second)
    if not pair.names:
        return None
    sizes = _effective_sizes(pair)
    homogeneity = mantel_haenszel.homogeneity(pair.tables)
    varies = homogeneity is not None and homogeneity < 1 - confidence
    mail, events = pair.mail.sum(0), int(pair.events.sum())
    return Contrast(
        measure=measure,
        first=first,
        second=second,
        strata=len(pair.names),
        mail=(int(mail[0]), int(mail[1])),
        sizes=sizes,
        rates=pair.rates,
        interval=_interval(pair.rates, sizes, confidence),
        rate=(events + 2) / (int(mail.sum()) + 4),
        odds_ratio=mantel_haenszel.common_odds_ratio(pair.tables),
        p_value=mantel_haenszel.p_value(pair.tables),
        homogeneity=homogeneity,
        opposed=_opposed(pair, confidence) if varies else (),
    )


def _effective_sizes(pair: Pair) -> tuple[float, float]:
    """The mail whose unstratified rate has the same variance as the weighted rate.

    Only the variance within strata counts, so mail in strata with different rates is more
    informative.
    """
    common = pair.events.sum(1) / pair.mail.sum(1)
    rate = float(pair.weights @ common)
    spread = common * (1 - common)
    if not spread.any():  # no message had the outcome, or all had: only the weights count
        rate, spread = 1 / 2, np.full(len(common), 1 / 4)
    variances = (pair.weights**2 * spread) @ (1 / pair.mail)
    first, second = rate * (1 - rate) / variances
    return float(first), float(second)


def _interval(
    rates: tuple[float, float], sizes: tuple[float, float], confidence: float
) -> tuple[float, float]:
    """The difference's interval, from Wilson's of both rates (Newcombe, 1998, method 10)."""
    first, second = rates
    (low_1, high_1), (low_2, high_2) = (
        wilson(rate * size, size, confidence) for rate, size in zip(rates, sizes, strict=True)
    )
    difference = first - second
    return (
        difference - math.hypot(first - low_1, high_2 - second),
        difference + math.hypot(high_1 - first, second - low_2),
    )


def _opposed(pair: Pair, confidence: float) -> tuple[str, ...]:
    overall = pair.rates[0] - pair.rates[1]
    differences = -np.diff(pair.events / pair.mail, axis=1)[:, 0]
    level = (1 - confidence) / len(pair.names)  # Bonferroni
    against = np.flatnonzero(differences * overall <= 0).tolist()
    p_values = {i: mantel_haenszel.p_value(pair.tables[[i]]) for i in against}
    return tuple(pair.names[i] for i, p in p_values.items() if p is not None and p < level)
