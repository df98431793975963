"""Comparing every two connections of some campaigns. Pure."""

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
    """The confidence and the difference that a comparison is asked for."""

    confidence: float = 0.95
    smallest_difference: float = 0.005
    """The smallest difference of two rates that matters, as a fraction."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate of a connection: the part of its mail with one outcome."""

    connection: str
    measure: Measure
    events: int
    mail: int
    interval: tuple[float, float] | None
    """Wilson's interval (1927); None when there is no mail."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison, without addresses."""

    campaigns: Sequence[str]
    terms: Terms
    rates: Sequence[Rate]
    """Rates of all connections in all measures."""
    verdicts: Sequence[ContrastResult]
    """One for each pair of connections with mail in a common stratum, and each tested measure."""
    notes: Sequence[str]
    """Warnings, in sentences."""

    def summary(self) -> str:
        """One line: the difference that is shown, if any."""
        shown = [result.text for result in self.verdicts if result.finding is Conclusion.DIFFERENT]
        if shown:
            more = f" (and {len(shown) - 1} more)" if len(shown) > 1 else ""
            return shown[0] + more
        if not self.verdicts:
            return "there is nothing to compare: no two connections have mail in the same campaign"
        undecided = sum(result.finding is Conclusion.OPEN for result in self.verdicts)
        if undecided:
            return f"no difference is shown; {undecided} of {len(self.verdicts)} need more mail"
        return "no difference is shown"

    def markdown(self) -> str:
        """The page for operators."""
        return page(self)


def compare(observed: Observed, question: Question) -> Comparison:
    """Compare every two connections in deferred, failed and bounced mail.

    The risk that any of these tests shows a difference where there is none is `1 - confidence` over
    all tests together (Holm, 1979).
    """
    strata = stratify(observed.counts)
    contrasts = [
        result
        for measure in _tested(observed.counts)
        for first, second in combinations(strata.connections, 2)
        if (result := contrast(strata, measure, first, second, question.confidence))
    ]
    adjusted = _holm([result.p_value for result in contrasts])
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
        verdicts=[verdict(result, p, terms) for result, p in zip(contrasts, adjusted, strict=True)],
        notes=[*notes(observed), *mixes],
    )


def _tested(counts: pd.DataFrame) -> list[Measure]:
    """The measures to test. Bounces only if one is recorded: perhaps no mailbox is read."""
    known = bool(counts[Measure.BOUNCED.value].any())
    return [
        measure
        for measure in Measure
        if measure.is_tested and (known or measure is not Measure.BOUNCED)
    ]


def _holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values (Holm, 1979). (multipletests of statsmodels runs the garbage collector.)"""
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
