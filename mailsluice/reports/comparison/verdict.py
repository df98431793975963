"""The conclusion from the comparison of two connections, in a sentence. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mailsluice.reports.comparison.contrast import Contrast
from mailsluice.reports.comparison.delays import DelayContrast
from mailsluice.reports.comparison.observed import Measure
from mailsluice.reports.comparison.power import needed, smallest_shown

_DONE = {
    Measure.DEFERRED: "deferred",
    Measure.FAILED: "refused or given up",
    Measure.BOUNCED: "bounced",
    Measure.UNDELIVERED: "left undelivered",
    Measure.BLOCKED: "blocked",
    Measure.COMPLAINED: "reported as spam",
}

_MOST_NAMES = 5


class Conclusion(StrEnum):
    """The conclusion from a contrast."""

    DIFFERENT = "different"
    """One connection does better."""
    ALIKE = "alike"
    """The connections differ by less than the smallest difference that matters."""
    DEPENDS = "depends"
    """Which connection does better depends on campaign and mailbox provider."""
    OPEN = "open"
    """The mail so far is not enough for a conclusion."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The rules for conclusions."""

    confidence: float
    tests: int
    """The number of contrasts tested together."""
    smallest_difference: float
    """The smallest difference that matters, as a fraction."""

    @property
    def alpha(self) -> float:
        """The accepted risk, over all tests, of showing a difference where there is none."""
        return 1 - self.confidence

    @property
    def percent(self) -> str:
        """The confidence, as text."""
        return f"{self.confidence * 100:g}%"

    @property
    def planned_alpha(self) -> float:
        """The level of the strictest test (Bonferroni)."""
        return self.alpha / self.tests


@dataclass(frozen=True, slots=True)
class ContrastResult:
    """A contrast and the conclusion from it."""

    contrast: Contrast
    adjusted_p: float | None
    """The p-value adjusted by Holm (1979) over all tested contrasts."""
    finding: Conclusion
    smallest_shown: float
    """The difference that this much mail shows in four of five cases."""
    text: str


@dataclass(frozen=True, slots=True)
class DelayResult:
    """A comparison of times to delivery, and the conclusion from it."""

    contrast: DelayContrast
    adjusted_p: float | None
    finding: Conclusion
    text: str


def delay_verdict(contrast: DelayContrast, adjusted_p: float | None, terms: Terms) -> DelayResult:
    """Say whose mail is delivered sooner, if the test shows it."""
    names = (contrast.first, contrast.second)
    times = _times(contrast, duration)
    if len(set(times)) == 1:  # rounded, they would not show which one is sooner
        times = _times(contrast, _exact)
    times = [f"{name}: {time}" for name, time in zip(names, times, strict=True)]
    if contrast.z is None or adjusted_p is None or adjusted_p >= terms.alpha:
        text = f"{' and '.join(names)}, time to delivery: no difference is shown"
        return DelayResult(contrast, adjusted_p, Conclusion.OPEN, f"{text} ({'; '.join(times)})")
    sooner, later = names if contrast.z > 0 else reversed(names)
    text = (
        f"{sooner}'s mail is delivered sooner than {later}'s within the same campaigns and"
        f" mailbox providers: {'; '.join(times)}; log-rank test, {chance(adjusted_p)} after Holm"
    )
    return DelayResult(contrast, adjusted_p, Conclusion.DIFFERENT, text)


def _times(contrast: DelayContrast, written: Callable[[float], str]) -> list[str]:
    """The times of both connections, as text."""
    return [
        f"half within {written(median)}, 95 % within {written(p95)}"
        for median, p95 in zip(contrast.medians, contrast.p95, strict=True)
    ]


def _exact(seconds: float) -> str:
    return f"{seconds:,.1f} s"


def duration(seconds: float) -> str:
    """A time to delivery, as text."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def verdict(contrast: Contrast, adjusted_p: float | None, terms: Terms) -> ContrastResult:
    """Draw the conclusion from a contrast, by these rules."""
    conclusion = _finding(contrast, adjusted_p, terms)
    smallest = smallest_shown(contrast.rate, *contrast.sizes, terms.planned_alpha)
    return ContrastResult(
        contrast, adjusted_p, conclusion, smallest, _text(conclusion, contrast, adjusted_p, terms)
    )


def _text(
    conclusion: Conclusion, contrast: Contrast, adjusted_p: float | None, terms: Terms
) -> str:
    match conclusion:
        case Conclusion.DIFFERENT:
            return _different(contrast, adjusted_p, terms)
        case Conclusion.ALIKE:
            return _alike(contrast)
        case Conclusion.DEPENDS:
            return _depends(contrast)
        case Conclusion.OPEN:
            return _open(contrast, adjusted_p, terms)


def _finding(contrast: Contrast, adjusted_p: float | None, terms: Terms) -> Conclusion:
    if contrast.opposed:
        return Conclusion.DEPENDS
    if adjusted_p is not None and adjusted_p < terms.alpha:
        return Conclusion.DIFFERENT
    if max(map(abs, contrast.interval)) <= terms.smallest_difference:
        return Conclusion.ALIKE
    return Conclusion.OPEN


def _different(contrast: Contrast, adjusted_p: float | None, terms: Terms) -> str:
    rates, names = contrast.rates, (contrast.first, contrast.second)
    better, worse = (0, 1) if rates[0] < rates[1] else (1, 0)
    return (
        f"{names[better]}'s mail is {_DONE[contrast.measure]} less than {names[worse]}'s:"
        f" {rates[better]:.2%} against {rates[worse]:.2%} over the same mix of campaigns and"
        f" mailbox providers; {contrast.first} minus {contrast.second}:"
        f" {points(contrast.difference)} percentage points,"
        f" {terms.percent} interval {_interval(contrast)},"
        f" {chance(adjusted_p)} after Holm"
    )


def _alike(contrast: Contrast) -> str:
    most = max(map(abs, contrast.interval))
    return (
        f"{_both(contrast)}: no difference larger than {points(most)} points is likely"
        f" ({contrast.rates[0]:.2%} and {contrast.rates[1]:.2%})"
    )


def _depends(contrast: Contrast) -> str:
    names = contrast.opposed
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return (
        f"{_both(contrast)}: which one does better depends on campaign and mailbox provider"
        f" (homogeneity: {chance(contrast.homogeneity)}); the opposite of the whole in"
        f" {', '.join(names[:_MOST_NAMES])}{more}"
    )


def _open(contrast: Contrast, adjusted_p: float | None, terms: Terms) -> str:
    alone = contrast.p_value is not None and contrast.p_value < terms.alpha
    among = f" ({chance(contrast.p_value)} alone, {chance(adjusted_p)} after Holm)" if alone else ""
    return (
        f"{_both(contrast)}: not enough mail yet. {contrast.first} minus {contrast.second} is"
        f" likely {_interval(contrast)} percentage points{among}; {_more(contrast, terms)}"
    )


def _more(contrast: Contrast, terms: Terms) -> str:
    wanted = 2 * needed(contrast.rate, terms.smallest_difference, terms.planned_alpha)
    first, second = contrast.sizes
    factor = wanted / 4 * (1 / first + 1 / second) - 1
    difference = f"a difference of {points(terms.smallest_difference)} points"
    if factor <= 0:
        return f"it is enough to show {difference}, and neither shows nor excludes one"
    return (
        f"about {rounded(factor * sum(contrast.mail)):,} more messages of both together, in the"
        f" same proportion, would show {difference} in four of five cases"
    )


def _interval(contrast: Contrast) -> str:
    """The interval of the difference, in percentage points."""
    low, high = contrast.interval
    return f"{points(low)} to {points(high)}"


def _both(contrast: Contrast) -> str:
    return f"{contrast.first} and {contrast.second}, {_DONE[contrast.measure]}"


def points(fraction: float) -> str:
    """A fraction in percentage points."""
    return f"{fraction * 100:.2f}"


def chance(p_value: float | None) -> str:
    """A p-value, as text."""
    if p_value is None:
        return ""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}"


def rounded(number: float) -> int:
    """Round to two digits, the precision of such an estimate."""
    return int(float(f"{number:.1e}")) if number >= 100 else max(round(number), 1)
