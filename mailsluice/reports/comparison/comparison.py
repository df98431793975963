"""Comparing every two connections of some campaigns. Pure."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

import pandas as pd

from mailsluice.reports.comparison.contrast import contrast
from mailsluice.reports.comparison.delays import compare_delays
from mailsluice.reports.comparison.mix import mix_notes
from mailsluice.reports.comparison.notes import notes, unequally_known
from mailsluice.reports.comparison.observed import MAIL, NUMBERS, Measure, Observed
from mailsluice.reports.comparison.page import page
from mailsluice.reports.comparison.strata import stratify
from mailsluice.reports.comparison.verdict import (
    Conclusion,
    ContrastResult,
    DelayResult,
    Terms,
    delay_verdict,
    verdict,
)
from mailsluice.reports.comparison.wilson import wilson

Result = TypeVar("Result", ContrastResult, DelayResult)


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
    """The mail that may have this outcome: with events, only what is known."""
    interval: tuple[float, float] | None
    """Wilson's interval (1927); None when there is no mail."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison, without addresses."""

    campaigns: Sequence[str]
    terms: Terms
    rates: Sequence[Rate]
    """Rates of all connections in all measures of which anything is known."""
    verdicts: Sequence[ContrastResult]
    """One for each pair of connections with mail in a common stratum, and each tested measure."""
    notes: Sequence[str]
    """Warnings, in sentences."""
    delays: Sequence[DelayResult] = ()
    """One for each pair of connections whose providers report deliveries."""

    def summary(self) -> str:
        """One line: the difference that is shown, if any."""
        results: list[ContrastResult | DelayResult] = [*self.verdicts, *self.delays]
        shown = [result.text for result in results if result.finding is Conclusion.DIFFERENT]
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
    """Compare every two connections by the replies to their mail, and by what events report.

    The risk that any of these tests shows a difference where there is none is `1 - confidence` over
    all tests together (Holm, 1979).
    """
    missing = {name: 0 for name in NUMBERS if name not in observed.counts}
    counts = observed.counts.assign(**missing)
    observed = replace(observed, counts=counts)
    strata = stratify(counts)
    contrasts = [
        result
        for measure in _tested(observed)
        for first, second in combinations(strata.connections, 2)
        if _is_fair(observed, measure, first, second)
        and (result := contrast(strata, measure, first, second, question.confidence))
    ]
    delays = [*compare_delays(observed)]
    p_values = [*(result.p_value for result in contrasts), *(result.p_value for result in delays)]
    adjusted = _holm(p_values)
    tests = max(sum(p is not None for p in adjusted), 1)
    terms = Terms(question.confidence, tests, question.smallest_difference)
    rates = _rates(observed.counts, question.confidence)
    of_all = {
        (rate.connection, rate.measure): rate.events / rate.mail for rate in rates if rate.mail
    }
    mixes = mix_notes(contrasts, of_all, question.smallest_difference)
    doubtful = {frozenset(pair) for pair in unequally_known(observed, question.smallest_difference)}
    return Comparison(
        campaigns=sorted(observed.counts["campaign"].unique()),
        terms=terms,
        rates=rates,
        verdicts=[
            _with_doubt(verdict(result, p, terms), doubtful)
            if result.measure.of != MAIL
            else verdict(result, p, terms)
            for result, p in zip(contrasts, adjusted, strict=False)
        ],
        notes=[*notes(observed, question.smallest_difference), *mixes],
        delays=[
            _with_doubt(delay_verdict(result, p, terms), doubtful)
            for result, p in zip(delays, adjusted[len(contrasts) :], strict=True)
        ],
    )


def _with_doubt(result: Result, doubtful: Set[frozenset[str]]) -> Result:
    """Say beside a difference by events that the missing mail of the pair may be its cause."""
    pair = frozenset((result.contrast.first, result.contrast.second))
    if result.finding is not Conclusion.DIFFERENT or pair not in doubtful:
        return result
    return replace(result, text=f"{result.text}. Do not rely on this yet: see the warnings")


def _tested(observed: Observed) -> list[Measure]:
    """The measures to test. Bounces only if one is recorded: perhaps no mailbox is read."""
    known = bool(observed.counts[Measure.BOUNCED.value].any())
    return [
        measure
        for measure in Measure
        if measure.is_tested and (known or measure is not Measure.BOUNCED)
    ]


def _is_fair(observed: Observed, measure: Measure, first: str, second: str) -> bool:
    """Whether the outcome would be known of both connections' mail, if it occurred."""
    reporting = len(observed.reporting & {first, second})
    if measure is Measure.BOUNCED:
        return reporting != 1
    return measure.of == MAIL or reporting == 2


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
    shown = [measure for measure in Measure if measure.of == MAIL or totals[measure.of].any()]
    rates = []
    for name, row in totals.astype(int).iterrows():
        for measure in shown:
            events, mail = int(row[measure.value]), int(row[measure.of])
            interval = wilson(events, mail, confidence) if mail else None
            rates.append(Rate(str(name), measure, events, mail, interval))
    return rates
