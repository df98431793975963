"""A comparison as a page."""

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
    """The page an operator reads: verdicts first, then the numbers they rest on. No addresses."""
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
    head += ["p", "p (Holm)", "homogeneity", "smallest shown"]
    return ["## Tests", "", *table(head, [_contrast(verdict) for verdict in verdicts], words=2)]


def _contrast(result: ContrastResult) -> list[str]:
    found = result.contrast
    low, high = found.interval
    return [
        found.measure.value,
        cell(f"{found.first}, {found.second}"),
        str(found.strata),
        f"{found.rates[0]:.2%}, {found.rates[1]:.2%}",
        f"{points(found.difference)} ({points(low)} to {points(high)})",
        "" if found.odds_ratio is None else f"{found.odds_ratio:.3f}",
        chance(found.p_value),
        chance(result.adjusted_p),
        chance(found.homogeneity),
        points(result.smallest_shown),
    ]


def _remarks(comparison: Comparison) -> list[str]:
    terms = comparison.terms
    return [
        f"Rates with Wilson's {terms.percent} intervals, over all mail of a connection."
        " Tests compare within strata, a campaign's mail to one domain (small ones together):"
        " Cochran-Mantel-Haenszel, exact where there are few events; homogeneity: Breslow-Day-"
        "Tarone; differences in percentage points, Newcombe's interval. Every two connections in"
        f" each measure, {terms.tests} tests together by Holm. Smallest shown: the difference found"
        " in four of five cases.",
        "",
        "Whoever looks again and again until a difference shows will find one that is none: decide"
        " beforehand at how much mail you look, and look once.",
    ]
