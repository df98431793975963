"""The heat map of connections and mailbox providers. Import this module only to draw."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from mailsluice.mailbox_providers import title_of
from mailsluice.reports.campaign.drawing import BLUE, RED, WIDTH_INCHES, described, short_name
from mailsluice.reports.campaign.report import Report
from mailsluice.reports.providers.counts import Measure, ProviderCounts, ProviderTally

_MOST_CONNECTIONS = 6
_IS_GOOD = {Measure.ACCEPTED: True, Measure.DELIVERED: True}
_LEAST_SPAN = 0.05
"""Shares that differ by less than this look alike, so that chance does not stand out."""
_EMPTY = "#E8E8E8"
_Shares = npt.NDArray[np.float64]


def provider_figure(report: Report) -> str | None:
    """A matrix of connections and providers for each measure; None without providers.

    A measure of which nothing is known is left out, and so are deferrals and refusals where there
    are none.
    """
    counts = report.statistics.providers if report.statistics else ProviderCounts()
    if not counts.in_all.attempted:
        return None
    rows = _rows(report, counts)
    providers = counts.providers
    shares = {
        measure: _shares(counts, measure, list(rows.values()), providers) for measure in Measure
    }
    shown = [measure for measure in Measure if _says_something(measure, shares[measure])]
    height = 0.9 + len(shown) * (0.35 + 0.25 * len(rows))
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    panels = np.atleast_1d(figure.subplots(len(shown), 1, sharex=True))
    for measure, axes in zip(shown, panels, strict=True):
        _panel(axes, measure, shares[measure])
        axes.set_yticks(range(len(rows)), [*rows], fontsize=8)
    titles = ("smaller ones" if name is None else title_of(name) for name in providers)
    names = [short_name(title) for title in titles]
    panels[-1].set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
    return described(figure, f"Connections by mailbox provider: {_finding(counts)}")


def _rows(report: Report, counts: ProviderCounts) -> dict[str, Sequence[str]]:
    """The connections of each row by its label: the largest alone, all others together."""
    sizes: dict[str, int] = {route.connection: 0 for route in report.routes}
    for (_, connection), tally in counts.tallies.items():
        sizes[connection] = sizes.get(connection, 0) + tally.recipients
    with_mail = [name for name in sizes if sizes[name]]
    by_size = sorted(with_mail, key=lambda name: -sizes[name])
    room = _MOST_CONNECTIONS if len(by_size) > _MOST_CONNECTIONS + 1 else len(by_size)
    rows: dict[str, Sequence[str]] = {}
    for name in with_mail:
        if name in by_size[:room]:
            label = short_name(name)
            while label in rows:  # names that are equal when they are cut
                label += " "
            rows[label] = [name]
    if rest := by_size[room:]:
        rows[f"{len(rest)} others"] = rest
    return rows


def _shares(
    counts: ProviderCounts,
    measure: Measure,
    rows: Sequence[Sequence[str]],
    providers: Sequence[str | None],
) -> _Shares:
    """The shares (rows, providers); NaN where there is no such mail."""

    def share(connections: Sequence[str], provider: str | None) -> float:
        tallies = (counts.tallies.get((provider, name), ProviderTally()) for name in connections)
        found = sum(tallies, ProviderTally()).share(measure)
        return np.nan if found is None else found

    return np.array([[share(row, provider) for provider in providers] for row in rows])


def _says_something(measure: Measure, shares: _Shares) -> bool:
    known = shares[~np.isnan(shares)]
    return bool(known.size and (measure in _IS_GOOD or known.any()))


def _panel(axes: Axes, measure: Measure, shares: _Shares) -> None:
    """Dark cells stand out: the lowest shares of what should be high, the highest of the rest."""
    is_good = measure in _IS_GOOD
    trouble = 1 - shares if is_good else shares
    ends = ["white", BLUE if is_good else RED]
    colours = LinearSegmentedColormap.from_list("", ends).with_extremes(bad=_EMPTY)
    most = max(_LEAST_SPAN, float(np.nanmax(trouble)))
    axes.imshow(np.ma.masked_invalid(trouble), colours, vmin=0, vmax=most, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if not np.isnan(share):
            axes.text(
                column,
                row,
                _percent(share),
                ha="center",
                va="center",
                fontsize=7.5,
                color=_ink(colours(float(trouble[row, column] / most))),
            )
    axes.set_title(_TITLES[measure], loc="left", fontsize=9)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(shares.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(shares.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="minor", length=0)


_TITLES = {
    Measure.ACCEPTED: "accepted, % of the attempted mail",
    Measure.DEFERRED: "deferred at least once, % of the attempted mail",
    Measure.REFUSED: "refused, % of the attempted mail",
    Measure.DELIVERED: "delivered, as events report so far, % of the accepted mail",
}


def _percent(share: float) -> str:
    """A share in at most four characters; 100 and 0 mean all and none."""
    percent = 100 * share
    if 0 < percent < 0.05:
        return "<0.1"
    if 99.95 <= percent < 100:
        return "99.9"
    return f"{percent:.0f}" if percent in (0, 100) else f"{percent:.1f}"


def _ink(background: Sequence[float]) -> str:
    """Black or white, whichever has more contrast (WCAG 2.1, relative luminance)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in background[:3]]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "black" if luminance > 0.179 else "white"


def _finding(counts: ProviderCounts) -> str:
    """The pair of provider and connection that refuses or defers the largest part of its mail."""
    for measure in (Measure.REFUSED, Measure.DEFERRED):
        pairs = {pair: tally.share(measure) or 0.0 for pair, tally in counts.tallies.items()}
        provider, connection = max(pairs, key=lambda pair: (pairs[pair], pair[0] or "", pair[1]))
        if share := pairs[provider, connection]:
            title = "smaller providers" if provider is None else title_of(provider)
            return f"most mail {measure.value} by {title} over {connection}, {share:.1%}"
    return "no mail deferred or refused"
