"""The picture of placement and delay over time. Import this module only to draw."""

from __future__ import annotations

from datetime import UTC, datetime

from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mailsluice.operations.probes.result import seconds_text
from mailsluice.operations.seed_test.trend import Point, Trends
from mailsluice.reports.campaign.drawing import WIDTH_INCHES, described, short_name

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#999999")
"""Colours that people with any colour vision can distinguish (Okabe and Ito, 2008)."""
_MARKERS = "os^Dv"
_TICKS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3_600: "1 h"}


def trend_picture(trends: Trends, least_percent: float) -> str:
    """Draw the inbox's share and the median delay of each connection, in Markdown."""
    figure = Figure(figsize=(WIDTH_INCHES, 4.4), layout="constrained")
    placement, delay = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    for number, (name, points) in enumerate(trends.items()):
        look = {
            "color": _COLOURS[number % len(_COLOURS)],
            "marker": _MARKERS[number % len(_MARKERS)],
        }
        times = [datetime.fromtimestamp(point.at, UTC) for point in points]
        shares = [point.percent for point in points]
        placement.plot(times, shares, label=short_name(name), markersize=4, **look)
        seconds = [_seconds(point) for point in points]
        delay.plot(times, seconds, markersize=4, **look)
    placement.axhline(least_percent, color="0.5", linestyle="--", linewidth=1)
    placement.set_ylim(-4, 104)
    placement.set_ylabel("% in the inbox")
    placement.legend(loc="lower left", fontsize="small", framealpha=0.8)
    delay.set_ylabel("median delay")
    _logarithmic(delay, max(_longest(points) for points in trends.values()))
    delay.set_xlabel("time of the test, UTC")
    _at_least_a_day(delay, trends)
    for axes in (placement, delay):
        _plain(axes)
    return described(figure, "Placement over time. " + "; ".join(map(_words, trends.items())))


def _seconds(point: Point) -> float:
    """Return the delay for a logarithmic axis; clocks tell no less than a second."""
    return float("nan") if point.delay_seconds is None else max(1.0, point.delay_seconds)


def _longest(points: list[Point]) -> float:
    return max(point.delay_seconds or 0.0 for point in points)


def _logarithmic(axes: Axes, longest: float) -> None:
    axes.set_yscale("log")
    top = next((tick for tick in _TICKS if tick >= max(longest, 2)), [*_TICKS][-1])
    ticks = [tick for tick in _TICKS if tick <= top]
    axes.set_yticks(ticks, [_TICKS[tick] for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(0.8, 1.25 * max(top, longest))


def _at_least_a_day(axes: Axes, trends: Trends) -> None:
    """Widen the axis of time to a day: that of a single test would show years."""
    days = [point.at / 86_400 for points in trends.values() for point in points]
    spare = (1 - (max(days) - min(days))) / 2
    if spare > 0:
        axes.set_xlim(min(days) - spare, max(days) + spare)


def _plain(axes: Axes) -> None:
    locator = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)


def _words(trend: tuple[str, list[Point]]) -> str:
    name, points = trend
    last = points[-1]
    delay = "" if last.delay_seconds is None else f", after {seconds_text(last.delay_seconds)}"
    tests = "1 test" if len(points) == 1 else f"{len(points)} tests"
    return f"{name}: {last.percent:.0f} % in the inbox at last{delay}, {tests}"
