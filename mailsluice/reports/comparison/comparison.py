"""All connections of some campaigns against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from mailsluice.reports.comparison.contrast import contrast
from mailsluice.reports.comparison.mix import mix_notes
from mailsluice.reports.comparison.notes import notes
from mailsluice.reports.comparison.observed import NUMBERS, Measure, Observed
from mailsluice.reports.comparison.page import page
from mailsluice.reports.comparison.strata import stratify
from mailsluice.reports.comparison.verdict import Conclusion, ContrastResult, Terms, verdict
from mailsluice.reports.comparison.wilson import wilson


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    confidence: float = 0.95
    smallest_difference: float = 0.005
    """What matters, as a fraction."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something became of a connection's mail."""

    connection: str
    measure: Measure
    events: int
    mail: int
    interval: tuple[float, float] | None
    """Wilson's (1927); None where there is no mail."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer. No addresses."""

    campaigns: Sequence[str]
    terms: Terms
    rates: Sequence[Rate]
    """All connections, each in all measures."""
    verdicts: Sequence[ContrastResult]
    """All pairs of connections that have mail in a common stratum, in each measure tested."""
    notes: Sequence[str]
    """What is to be minded, in sentences."""

    def summary(self) -> str:
        """One line: what is shown."""
        found = [result.text for result in self.verdicts if result.finding is Conclusion.DIFFERENT]
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            return found[0] + more
        if not self.verdicts:
            return "there is nothing to compare: no two connections have mail in the same campaign"
        open_ones = sum(result.finding is Conclusion.OPEN for result in self.verdicts)
        if open_ones:
            return f"no difference is shown; {open_ones} of {len(self.verdicts)} need more mail"
        return "no difference is shown"

    def markdown(self) -> str:
        """The page an operator reads."""
        return page(self)


def compare(observed: Observed, question: Question) -> Comparison:
    """Compare every two connections in deferred, failed and bounced mail.

    The risk of a difference that is none is `1 - confidence` over all of these tests together
    (Holm, 1979).
    """
    strata = stratify(observed.counts)
    contrasts = [
        found
        for measure in _tested(observed.counts)
        for first, second in combinations(strata.connections, 2)
        if (found := contrast(strata, measure, first, second, question.confidence))
    ]
    adjusted = _holm([pair.p_value for pair in contrasts])
    tests = max(sum(p is not None for p in adjusted), 1)
    terms = Terms(question.confidence, tests, question.smallest_difference)
    rates = _rates(observed.counts, question.confidence)
    of_all = {
        (rate.connection, rate.measure): rate.events / rate.mail for rate in rates if rate.mail
    }
    mixes = mix_notes(contrasts, of_all, question.smallest_difference)
    return Comparison(
        campaigns=sorted(observed.counts["campaign"].unique()),
        terms=terms,
        rates=rates,
        verdicts=[verdict(pair, p, terms) for pair, p in zip(contrasts, adjusted, strict=True)],
        notes=[*notes(observed), *mixes],
    )


def _tested(counts: pd.DataFrame) -> list[Measure]:
    """Bounces only where some are known of: perhaps nobody reads them."""
    known = bool(counts[Measure.BOUNCED.value].any())
    return [
        measure
        for measure in Measure
        if measure.is_tested and (known or measure is not Measure.BOUNCED)
    ]


def _holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values (Holm, 1979). (statsmodels' multipletests collects garbage every time.)"""
    adjusted = list(p_values)
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    reached = 0.0
    for done, (p, i) in enumerate(tested):
        reached = max(reached, min(p * (len(tested) - done), 1.0))
        adjusted[i] = reached
    return adjusted


def _rates(counts: pd.DataFrame, confidence: float) -> list[Rate]:
    totals = counts.groupby("connection")[NUMBERS].sum()
    return [
        Rate(str(name), measure, events, mail, wilson(events, mail, confidence) if mail else None)
        for name, mail, *numbers in totals.itertuples(name=None)
        for measure, events in zip(Measure, numbers, strict=True)
    ]
