"""Tests of two connections over strata, each 2 x 2 table with its margins given.

SciPy and statsmodels are imported where they are used: they take a fifth of the time in which the
process of a run starts, and only a comparison needs them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mailsluice.reports.comparison.strata import Counts

_ENOUGH = 5


def common_odds_ratio(tables: Counts) -> float | None:
    """The odds of the first over those of the second (Mantel and Haenszel, 1959).

    `tables` (k, 2, 2). None where a zero keeps it from being a number above 0.
    """
    for_first, for_second = (tables[:, 0, 0] * tables[:, 1, 1]), (tables[:, 0, 1] * tables[:, 1, 0])
    if not for_first.any() or not for_second.any():
        return None
    return float(_stratified(tables).oddsratio_pooled)


def p_value(tables: Counts) -> float | None:
    """Of the hypothesis that in no stratum it matters which connection sends; two-sided.

    `tables` (k, 2, 2). The test of Cochran (1954), Mantel and Haenszel (1959), with a correction
    for continuity. Where there are too few events for its approximation, by the rule of Mantel and
    Fleiss (1980), the exact conditional test. None where nothing happened, or to all.
    """
    told = tables[tables.sum(1).all(1)]
    if not len(told):
        return None
    lowest, expected, highest = _bounds(told)
    if min((expected - lowest).sum(), (highest - expected).sum()) < _ENOUGH:
        return _exact(told)
    # No correction beyond the expected number itself: it would make a difference out of none.
    correction = abs((told[:, 0, 0] - expected).sum()) >= 1 / 2
    return float(_stratified(told).test_null_odds(correction=correction).pvalue)


def homogeneity(tables: Counts) -> float | None:
    """p-value of the hypothesis that the odds ratio is the same in all strata.

    Breslow and Day (1980) with the correction of Tarone (1985), over the strata where at least 5
    are expected in every cell. None where that is less than two of them.
    """
    expected = tables.sum(2, keepdims=True) * tables.sum(1, keepdims=True)
    expected = expected / tables.sum((1, 2), keepdims=True)
    large = tables[(expected >= _ENOUGH).all((1, 2))].astype(np.float64)
    if len(large) < 2 or (ratio := common_odds_ratio(large)) is None:
        return None
    if ratio == 1:  # statsmodels divides by what it is away from 1
        large[:, 0, 0] += 1e-6
    return float(_stratified(large).test_equal_odds(adjust=True).pvalue)


def _stratified(tables: Counts) -> Any:
    """The tables (k, 2, 2) as statsmodels takes them."""
    from statsmodels.stats.contingency_tables import StratifiedTable

    return StratifiedTable(tables.transpose(1, 2, 0))


def _bounds(tables: Counts) -> tuple[Counts, Counts, Counts]:
    """(k,) each: the least, the expected, and the most events of the first, given the margins."""
    first, second = tables.sum(2).T
    events = tables[:, :, 0].sum(1)
    expected = first * events / (first + second)
    return np.maximum(events - second, 0), expected, np.minimum(events, first)


def _exact(tables: Counts) -> float:
    """Sum of the probabilities of all that is no likelier than what was seen (Fisher, 1935).

    With few events (see `_ENOUGH`) of n recipients there are at most sqrt(5 n) such cases.
    """
    from scipy.stats import hypergeom

    lowest, _, highest = _bounds(tables)
    chances = np.ones(1)
    for table, low, high in zip(tables, lowest, highest, strict=True):
        cases = np.arange(low, high + 1)
        mail, events, first = table.sum(), table[:, 0].sum(), table[0].sum()
        chances = np.convolve(chances, hypergeom.pmf(cases, mail, events, first))
    seen = chances[tables[:, 0, 0].sum() - lowest.sum()]
    return float(min(chances[chances <= seen * (1 + 1e-7)].sum(), 1))
