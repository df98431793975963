"""A comparison as a page in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailsluice.core.markdown import cell, section, table
from mailsluice.core.picture import picture
from mailsluice.reports.comparison.observed import KNOWN, MAIL, Measure
from mailsluice.reports.comparison.plot import rates_plot
from mailsluice.reports.comparison.verdict import (
    Conclusion,
    ContrastResult,
    DelayResult,
    chance,
    duration,
    points,
)

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
    lines += [_sources(comparison), ""]
    lines += section("Verdicts", _verdicts([*comparison.verdicts, *comparison.delays]))
    lines += section("Warnings", [f"- {cell(note)}" for note in comparison.notes])
    lines += ["## Connections", ""]
    shown = _shown(comparison)
    titles = [f"{measure}, of {_OF[measure.of]}" for measure in shown]
    lines += table(["connection", "mail", *titles], _rates(comparison))
    if any(rate.interval for rate in comparison.rates):
        alt = f"{comparison.terms.percent} intervals of each connection's rates"
        lines += [picture(rates_plot(comparison.rates, shown), alt), ""]
    lines += _contrasts(comparison.verdicts)
    lines += section("Time to delivery", _delays(comparison.delays))
    return "\n".join([*lines, *_remarks(comparison)]) + "\n"


_OF = {MAIL: "all mail", KNOWN: "known mail"}


def _shown(comparison: Comparison) -> list[Measure]:
    """The measures of which anything is known, in their order."""
    return list(dict.fromkeys(rate.measure for rate in comparison.rates))


def _sources(comparison: Comparison) -> str:
    """Which source the page judges by."""
    by_events = sorted({rate.connection for rate in comparison.rates if _is_by_events(rate)})
    if not by_events:
        return (
            "Judged by the servers' replies and returned mail: no provider reports deliveries"
            " (docs/events.md). Behind a relay, this compares the relays, not the mailboxes."
        )
    names = ", ".join(map(cell, by_events))
    return (
        f"Judged by the servers' replies (deferred, failed) and, for {names}, by the events of"
        " their providers (delivered, undelivered, blocked, complained, time to delivery)."
    )


def _is_by_events(rate: Rate) -> bool:
    return rate.measure is Measure.DELIVERED and rate.mail > 0


def _verdicts(verdicts: Sequence[ContrastResult | DelayResult]) -> list[str]:
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
    head = ["measure", "source", "first, second", "strata", "rates over the same mix"]
    head += ["first minus second, in percentage points", "odds ratio"]
    head += ["p", "p (Holm)", "homogeneity", "detectable"]
    return ["## Tests", "", *table(head, [_contrast(verdict) for verdict in verdicts], words=3)]


def _contrast(result: ContrastResult) -> list[str]:
    contrast = result.contrast
    low, high = contrast.interval
    return [
        contrast.measure.value,
        contrast.measure.source,
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


def _delays(results: Sequence[DelayResult]) -> list[str]:
    """Times from the acceptance by the provider to the delivery, and their tests."""
    if not results:
        return []
    head = ["first, second", "strata", "mail with events", "delivered", "half within"]
    rows = [
        [
            cell(f"{result.contrast.first}, {result.contrast.second}"),
            str(result.contrast.strata),
            *(
                ", ".join(f"{n:,}" for n in pair)
                for pair in (result.contrast.mail, result.contrast.delivered)
            ),
            *(
                ", ".join(map(duration, pair))
                for pair in (result.contrast.medians, result.contrast.p95)
            ),
            chance(result.contrast.p_value),
            chance(result.adjusted_p),
        ]
        for result in results
    ]
    return [*table([*head, "95 % within", "p", "p (Holm)"], rows), _ABOUT_DELAYS, ""]


_ABOUT_DELAYS = (
    "Times are from the provider's 250 to the delivery, by the provider's clock. The log-rank test"
    " compares within strata how soon waiting messages are delivered; deferred messages count with"
    " the time that they have waited so far, bounced ones until they bounced. Messages without an"
    " event are left out."
)


def _remarks(comparison: Comparison) -> list[str]:
    terms = comparison.terms
    return [
        f"Rates have Wilson's {terms.percent} intervals and cover all mail of a connection, or, by"
        " events, all mail of which it is known whether it has arrived."
        " Tests compare within strata: a campaign's mail to one mailbox provider, or to one"
        " domain whose provider is not known, with small ones together. They are"
        " Cochran-Mantel-Haenszel tests, exact with few events; homogeneity is tested by"
        " Breslow-Day-Tarone. Differences are in percentage points with Newcombe's"
        f" interval. P-values of all {terms.tests} tests are adjusted by Holm. Detectable: the"
        " difference that this much mail shows in four of five cases.",
        "",
        "Repeated looks find a difference sooner or later even where there is none: decide in"
        " advance after how much mail you compare, and compare once.",
    ]
