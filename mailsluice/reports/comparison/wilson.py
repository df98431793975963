"""Wilson's interval of a rate. Pure."""

from __future__ import annotations


def wilson(events: float, mail: float, confidence: float) -> tuple[float, float]:
    """The confidence interval of the rate of events in this much mail (Wilson, 1927)."""
    from statsmodels.stats.proportion import proportion_confint  # see `mantel_haenszel`

    low, high = proportion_confint(events, mail, alpha=1 - confidence, method="wilson")
    return float(low), float(high)
