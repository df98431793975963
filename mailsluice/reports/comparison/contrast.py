"""One connection against another in one measure."""

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
    """What the mail says about two connections; rates and differences are fractions."""

    measure: Measure
    first: str
    second: str
    strata: int
    """In how many both have mail: nothing is known where that is 0."""
    mail: tuple[int, int]
    """In these strata."""
    sizes: tuple[float, float]
    """Mail that would tell as much without strata."""
    rates: tuple[float, float]
    """Of both over the same mix of strata, by the weights of Mantel and Haenszel."""
    interval: tuple[float, float]
    """Of the difference, first less second."""
    rate: float
    """Of both together, not 0 or 1, to plan with (Agresti and Coull, 1998)."""
    odds_ratio: float | None
    p_value: float | None
    """None where nothing happened, or to all."""
    homogeneity: float | None
    """p-value; None where there is too little to tell."""
    opposed: tuple[str, ...]
    """Strata that by themselves show the opposite of all together, where ratios differ."""

    @property
    def difference(self) -> float:
        return self.rates[0] - self.rates[1]


def contrast(
    strata: Strata, measure: Measure, first: str, second: str, confidence: float
) -> Contrast | None:
    """Compare two connections where both have mail; None where there is no such stratum."""
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
    """Mail without strata whose rate varies by chance as little as the weighted one does.

    What varies is what varies within strata, so strata with rates of their own tell more.
    """
    common = pair.events.sum(1) / pair.mail.sum(1)
    rate = float(pair.weights @ common)
    spread = common * (1 - common)
    if not spread.any():  # nothing happened, or to all: the weights alone count
        rate, spread = 1 / 2, np.full(len(common), 1 / 4)
    variances = (pair.weights**2 * spread) @ (1 / pair.mail)
    first, second = rate * (1 - rate) / variances
    return float(first), float(second)


def _interval(
    rates: tuple[float, float], sizes: tuple[float, float], confidence: float
) -> tuple[float, float]:
    """Interval of the difference from Wilson's of both rates (Newcombe, 1998, method 10)."""
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
