"""Comparing two connections in the time from the acceptance to the delivery. Pure.

The times are skewed, and censored: a message that is still deferred has waited for at least so
long, and one that bounced is not delivered any more. So the test is the log-rank test (Mantel,
1966) over strata, which compares at each second how many of the messages that wait are delivered,
and supposes no distribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from mailsluice.reports.comparison.observed import Observed
from mailsluice.reports.comparison.strata import Numbers, provider_strata


@dataclass(frozen=True, slots=True)
class DelayContrast:
    """The comparison of two connections in their times to delivery."""

    first: str
    second: str
    strata: int
    """Strata in which both connections have mail with an event."""
    mail: tuple[int, int]
    delivered: tuple[int, int]
    medians: tuple[float, float]
    """Seconds, of the mail that is delivered."""
    p95: tuple[float, float]
    """95 % of the delivered mail took at most so many seconds."""
    z: float | None
    """The statistic of the test; above 0, the first one's mail is delivered sooner. None when
    nothing can be compared."""

    @property
    def p_value(self) -> float | None:
        """The two-sided p-value."""
        return None if self.z is None else math.erfc(abs(self.z) / math.sqrt(2))


def compare_delays(observed: Observed) -> Iterator[DelayContrast]:
    """Compare every two connections whose providers report deliveries."""
    delays = observed.delays
    if delays is None or delays.empty:
        return
    counts = observed.counts
    strata = (
        counts[["campaign", "provider"]].assign(stratum=provider_strata(counts)).drop_duplicates()
    )
    keys = ["campaign", "stratum", "connection", "seconds", "delivered"]
    merged = delays.merge(strata, on=["campaign", "provider"])
    placed = merged.groupby(keys)["number"].sum().reset_index()
    for first, second in combinations(sorted(observed.reporting), 2):
        if result := _contrast(placed, first, second):
            yield result


def _contrast(placed: pd.DataFrame, first: str, second: str) -> DelayContrast | None:
    both = placed[placed["connection"].isin([first, second])]
    groups = both.groupby(["campaign", "stratum"])
    shared = both[groups["connection"].transform("nunique") == 2]
    delivered = shared[shared["delivered"]]
    if delivered["connection"].nunique() < 2:
        return None
    parts = [_log_rank(part, first) for _, part in shared.groupby(["campaign", "stratum"])]
    excess, variance = np.sum(parts, axis=0)
    mine = [shared[shared["connection"] == name] for name in (first, second)]
    arrived = [part[part["delivered"]].sort_values("seconds") for part in mine]
    return DelayContrast(
        first,
        second,
        len(parts),
        mail=(int(mine[0]["number"].sum()), int(mine[1]["number"].sum())),
        delivered=(int(arrived[0]["number"].sum()), int(arrived[1]["number"].sum())),
        medians=(_quantile(arrived[0], 0.5), _quantile(arrived[1], 0.5)),
        p95=(_quantile(arrived[0], 0.95), _quantile(arrived[1], 0.95)),
        z=float(excess / math.sqrt(variance)) if variance > 0 else None,
    )


def _log_rank(part: pd.DataFrame, first: str) -> tuple[float, float]:
    """How many more of the first one's messages are delivered than expected, and the variance."""
    is_first, numbers = part["connection"] == first, part["number"]
    times = np.sort(part["seconds"].unique())
    at = np.searchsorted(times, part["seconds"])

    def count(chosen: pd.Series[bool]) -> Numbers:
        counted = np.bincount(at, weights=numbers.where(chosen, 0), minlength=len(times))
        return np.asarray(counted, np.float64)

    def waiting(chosen: pd.Series[bool]) -> Numbers:
        return np.asarray(np.cumsum(count(chosen)[::-1])[::-1], np.float64)

    everybody = numbers >= 0
    delivered, risk = count(part["delivered"]), waiting(everybody)
    share = waiting(is_first) / risk
    left = np.where(risk > 1, (risk - delivered) / np.maximum(risk - 1, 1), 0)
    excess = count(part["delivered"] & is_first) - delivered * share
    return float(excess.sum()), float((delivered * share * (1 - share) * left).sum())


def _quantile(arrived: pd.DataFrame, share: float) -> float:
    """The smallest time that at least this share of the messages does not exceed."""
    reached = arrived["number"].cumsum() >= share * arrived["number"].sum()
    return float(arrived["seconds"][reached].iloc[0])
