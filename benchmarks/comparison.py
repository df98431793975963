"""`python -m benchmarks.comparison`: how often a comparison finds what is not there, and what is.

Campaigns are shared out by the project's own assignment, so its balance within domains is real;
what becomes of a recipient's mail is drawn by a rate of its domain. Without a difference no more
than 1 - confidence of the pages may show one; with one, as many as the power says have to.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from mailsluice.assignment.assignment import assign
from mailsluice.campaign import Campaign
from mailsluice.reports.comparison import Comparison, Observed, Question, compare
from mailsluice.reports.comparison.verdict import Conclusion

DOMAIN_RATES = (0.01, 0.02, 0.04, 0.3, 0.005)
"""How often the large domains defer at once; the many small ones have one of these each."""
_SMALL_DOMAINS = 300


@dataclass(frozen=True, slots=True)
class Setting:
    """The setting of a simulation."""

    recipients: int = 3_000
    percents: tuple[int, ...] = (50, 50)
    gain: float = 0.0
    """Added to the rate of deferred mail of the first connection, everywhere."""
    failed: float = 0.004
    bounced: float = 0.002


def simulated(setting: Setting, campaigns: int, seed: int = 0) -> Iterator[Comparison]:
    """Simulate comparisons, each of one campaign."""
    rng = np.random.default_rng(seed)
    for number in range(campaigns):
        observed = Observed(_counts(setting, f"campaign {seed} {number}", rng))
        yield compare(observed, Question())


def shown(comparisons: Sequence[Comparison], measure: str | None = None) -> float:
    """The share of pages that show a difference in this measure."""
    return float(
        np.mean(
            [
                any(
                    verdict.finding is Conclusion.DIFFERENT
                    and measure in (None, verdict.contrast.measure)
                    for verdict in page.verdicts
                )
                for page in comparisons
            ]
        )
    )


def _counts(setting: Setting, name: str, rng: np.random.Generator) -> pd.DataFrame:
    number = setting.recipients
    large = rng.random(number) < 0.8
    domain = np.where(
        large,
        rng.integers(0, len(DOMAIN_RATES), number),
        rng.integers(len(DOMAIN_RATES), len(DOMAIN_RATES) + _SMALL_DOMAINS, number),
    )
    keys = rng.integers(0, 2**64, (number, 2), dtype=np.uint64)
    domain_keys = rng.integers(0, 2**64, domain.max() + 1, dtype=np.uint64)[domain]
    assignment = assign(keys, domain_keys, _campaign(setting, name), date(2026, 1, 5))
    route = np.empty(number, np.int64)
    route[assignment.order] = assignment.route
    rates = np.array(DOMAIN_RATES)[domain % len(DOMAIN_RATES)] + setting.gain * (route == 0)
    failed = rng.random(number) < setting.failed
    deferred = rng.random(number) < rates
    bounced = rng.random(number) < setting.bounced
    routes = len(setting.percents)
    groups, group, mail = np.unique(
        domain * routes + route, return_inverse=True, return_counts=True
    )
    fates = {"accepted": ~failed, "deferred": deferred, "failed": failed, "bounced": bounced}
    return pd.DataFrame(
        {
            "provider": [str(one) for one in groups // routes],
            "connection": [str(one) for one in groups % routes],
            "mail": mail,
            **{fate: np.bincount(group, had).astype(int) for fate, had in fates.items()},
            "campaign": name,
            "moved": 0,
            "uncertain": 0,
        }
    )


def _campaign(setting: Setting, name: str) -> Campaign:
    routes = [{"connection": f"c{i}", "percent": p} for i, p in enumerate(setting.percents)]
    return Campaign.model_validate(
        {
            "name": name,
            "recipients": {"path": "recipients.csv"},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": "percentage",
            "routes": routes,
        }
    )


def main() -> None:
    """Print both rates for several settings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--campaigns", type=int, default=1_000)
    campaigns = parser.parse_args().campaigns
    settings = {
        "none, 50/50": Setting(),
        "none, 90/10": Setting(percents=(90, 10)),
        "none, 40/30/20/10": Setting(percents=(40, 30, 20, 10)),
        "none, 99/1, 300 recipients": Setting(percents=(99, 1), recipients=300),
        "3 points, 50/50": Setting(gain=0.03),
    }
    for name, setting in settings.items():
        pages = list(simulated(setting, campaigns))
        figures = [shown(pages), shown(pages, "deferred"), shown(pages, "failed")]
        print(name, *(f"{one:.3f}" for one in figures), sep="  ")


if __name__ == "__main__":
    main()
