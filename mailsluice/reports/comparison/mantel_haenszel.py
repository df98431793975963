"""Tests of two connections over strata, each a 2 x 2 table with given margins. Pure.

Functions import SciPy and statsmodels when they need them: the imports take a fifth of the start
of a run, and only a comparison needs them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mailsluice.reports.comparison.strata import Counts

_ENOUGH = 5


def common_odds_ratio(tables: Counts) -> float | None:
    """The odds of the first connection divided by those of the second.

    The estimate of Mantel and Haenszel (1959) over `tables` (k, 2, 2). None when counts of zero
    make the estimate zero or infinite.
    """
    for_first, for_second = (tables[:, 0, 0] * tables[:, 1, 1]), (tables[:, 0, 1] * tables[:, 1, 0])
    if not for_first.any() or not for_second.any():
        return None
    return float(_stratified(tables).oddsratio_pooled)


def p_value(tables: Counts) -> float | None:
    """The two-sided p-value of the hypothesis that the connection matters in no stratum.

    The test of Cochran (1954), Mantel and Haenszel (1959) over `tables` (k, 2, 2), with a
    correction for continuity. With too few events for its approximation, by the rule of Mantel and
    Fleiss (1980), the exact conditional test. None when no message had the outcome, or all had.
    """
    informative = tables[tables.sum(1).all(1)]
    if not len(informative):
        return None
    lowest, expected, highest = _bounds(informative)
    if min((expected - lowest).sum(), (highest - expected).sum()) < _ENOUGH:
        return _exact(informative)
    # The correction never exceeds the distance to the expected number: else it would create a
    # difference.
    correction = abs((informative[:, 0, 0] - expected).sum()) >= 1 / 2
    return float(_stratified(informative).test_null_odds(correction=correction).pvalue)


def homogeneity(tables: Counts) -> float | None:
    """The p-value of the hypothesis that all strata have the same odds ratio.

    The test of Breslow and Day (1980) with the correction of Tarone (1985), over the strata with at
    least 5 expected messages in every cell. None with fewer than two such strata.
    """
    expected = tables.sum(2, keepdims=True) * tables.sum(1, keepdims=True)
    expected = expected / tables.sum((1, 2), keepdims=True)
    large = tables[(expected >= _ENOUGH).all((1, 2))].astype(np.float64)
    if len(large) < 2 or (ratio := common_odds_ratio(large)) is None:
        return None
    if ratio == 1:  # statsmodels divides by the distance from 1
        large[:, 0, 0] += 1e-6
    return float(_stratified(large).test_equal_odds(adjust=True).pvalue)


def _stratified(tables: Counts) -> Any:
    """The tables (k, 2, 2) in the form that statsmodels expects."""
    from statsmodels.stats.contingency_tables import StratifiedTable

    return StratifiedTable(tables.transpose(1, 2, 0))


def _bounds(tables: Counts) -> tuple[Counts, Counts, Counts]:
    """The least, expected and most events of the first connection, given the margins; (k,) each."""
    first, second = tables.sum(2).T
    events = tables[:, :, 0].sum(1)
    expected = first * events / (first + second)
    return np.maximum(events - second, 0), expected, np.minimum(events, first)


def _exact(tables: Counts) -> float:
    """The sum of the probabilities of all cases no likelier than the observed (Fisher, 1935).

    With few events (see `_ENOUGH`) among n recipients there are at most sqrt(5 n) cases.
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
