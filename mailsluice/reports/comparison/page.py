"""A comparison as a page in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailsluice.core.markdown import cell, section, table
from mailsluice.core.picture import picture
from mailsluice.reports.comparison.observed import Measure
from mailsluice.reports.comparison.plot import rates_plot
from mailsluice.reports.comparison.verdict import Conclusion, ContrastResult, chance, points

if TYPE_CHECKING:
    from mailsluice.reports.comparison.comparison import Comparison, Rate

_MOST_NAMES = 10
_ORDER = (Conclusion.DIFFERENT, Conclusion.DEPENDS, Conclusion.OPEN, Conclusion.ALIKE)


def page(comparison: Comparison) -> str:
    """The page for operators: conclusions first, then the numbers; without addresses."""
    names = ", ".join(map(cell, comparison.campaigns[:_MOST_NAMES]))
    rest = len(comparison.campaigns) - _MOST_NAMES
    lines = ["# Connections compared", "", f"**{cell(comparison.summary())}**", ""]
    lines += [f"Campaigns: {names}{f' and {rest} more' if rest > 0 else ''}", ""]
    lines += section("Verdicts", _verdicts(comparison.verdicts))
    lines += section("Warnings", [f"- {cell(note)}" for note in comparison.notes])
    lines += ["## Connections", ""]
    lines += table(
        ["connection", "mail", *(f"{measure}, of all mail" for measure in Measure)],
        _rates(comparison),
    )
    if any(rate.interval for rate in comparison.rates):
        alt = f"{comparison.terms.percent} intervals of each connection's rates"
        lines += [picture(rates_plot(comparison.rates), alt), ""]
    lines += _contrasts(comparison.verdicts)
    return "\n".join([*lines, *_remarks(comparison)]) + "\n"


def _verdicts(verdicts: Sequence[ContrastResult]) -> list[str]:
    ordered = sorted(verdicts, key=lambda verdict: _ORDER.index(verdict.finding))
    return [
        f"- **{cell(result.text)}**"
        if result.finding is Conclusion.DIFFERENT
        else f"- {cell(result.text)}"
        for result in ordered
    ]


def _rates(comparison: Comparison) -> list[list[str]]:
    rows: dict[str, list[str]] = {}
    for rate in comparison.rates:
        row = rows.setdefault(rate.connection, [cell(rate.connection), f"{rate.mail:,}"])
        row.append(_rate(rate))
    return list(rows.values())


def _rate(rate: Rate) -> str:
    if rate.interval is None:
        return ""
    low, high = rate.interval
    return f"{rate.events / rate.mail:.2%} ({low:.2%} to {high:.2%})"


def _contrasts(verdicts: Sequence[ContrastResult]) -> list[str]:
    if not verdicts:
        return []
    head = ["measure", "first, second", "strata", "rates over the same mix"]
    head += ["first minus second, in percentage points", "odds ratio"]
    head += ["p", "p (Holm)", "homogeneity", "detectable"]
    return ["## Tests", "", *table(head, [_contrast(verdict) for verdict in verdicts], words=2)]


def _contrast(result: ContrastResult) -> list[str]:
    contrast = result.contrast
    low, high = contrast.interval
    return [
        contrast.measure.value,
        cell(f"{contrast.first}, {contrast.second}"),
        str(contrast.strata),
        f"{contrast.rates[0]:.2%}, {contrast.rates[1]:.2%}",
        f"{points(contrast.difference)} ({points(low)} to {points(high)})",
        "" if contrast.odds_ratio is None else f"{contrast.odds_ratio:.3f}",
        chance(contrast.p_value),
        chance(result.adjusted_p),
        chance(contrast.homogeneity),
        points(result.smallest_shown),
    ]


def _remarks(comparison: Comparison) -> list[str]:
    terms = comparison.terms
    return [
        f"Rates have Wilson's {terms.percent} intervals and cover all mail of a connection."
        " Tests compare within strata: a campaign's mail to one domain, with small domains"
        " together. They are Cochran-Mantel-Haenszel tests, exact with few events; homogeneity is"
        " tested by Breslow-Day-Tarone. Differences are in percentage points with Newcombe's"
        f" interval. P-values of all {terms.tests} tests are adjusted by Holm. Detectable: the"
        " difference that this much mail shows in four of five cases.",
        "",
        "Repeated looks find a difference sooner or later even where there is none: decide in"
        " advance after how much mail you compare, and compare once.",
    ]
