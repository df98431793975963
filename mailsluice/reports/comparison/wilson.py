"""The interval of a rate."""

from __future__ import annotations


def wilson(events: float, mail: float, confidence: float) -> tuple[float, float]:
    """Which rates are likely where so much mail had so many events (Wilson, 1927)."""
    from statsmodels.stats.proportion import proportion_confint  # see `mantel_haenszel`

    low, high = proportion_confint(events, mail, alpha=1 - confidence, method="wilson")
    return float(low), float(high)
