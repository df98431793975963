"""The picture of a campaign's pace and its limits. Import this module only to draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC

import numpy as np
import numpy.typing as npt
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mailsluice.core.status import RecipientStatus
from mailsluice.limits import Bound
from mailsluice.reports.campaign.drawing import BLUE, RED, WIDTH_INCHES, described, short_name
from mailsluice.reports.campaign.report import Report
from mailsluice.reports.campaign.statistics import AcceptedOverTime, span_text

_DAY_SECONDS = 86_400
_MOST_PANELS = 5
_LINES = ("--", "-.", ":")


def pace_figure(report: Report) -> str | None:
    """A panel for each connection: messages accepted over time, and the limits."""
    pace = report.statistics.pace if report.statistics else None
    if pace is None or not pace.sent:
        return None
    panels = list(_panels(report, pace))
    figure = Figure(figsize=(WIDTH_INCHES, 0.5 + 1.9 * len(panels)), layout="constrained")
    shared: Axes | None = None
    for i, (title, values, bounds) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, i + 1, sharex=shared)
        shared = shared or axes
        _panel(axes, pace, values, bounds)
        axes.set_title(title, loc="left", fontsize=11)
        axes.tick_params(labelbottom=i == len(panels) - 1)
    axes.set_xlabel(f"time, UTC; steps of {span_text(pace.bucket_seconds)}")
    busiest = max(pace.sent, key=pace.busiest)
    unit, seconds = _unit(pace)
    most = pace.busiest(busiest) * seconds / pace.bucket_seconds
    return described(figure, f"Messages accepted per {unit}: at most {most:,.0f}, over {busiest}")


_Panel = tuple[str, npt.NDArray[np.float64], Sequence[Bound]]


def _panels(report: Report, pace: AcceptedOverTime) -> Iterator[_Panel]:
    """The connections that sent most, and the sum of the others: title, rates and limits."""
    sending = [route for route in report.routes if route.connection in pace.sent]
    sending.sort(key=lambda route: -route.of(RecipientStatus.SENT))
    alone = sending if len(sending) <= _MOST_PANELS + 1 else sending[:_MOST_PANELS]
    for route in alone:
        values = _rates(pace, pace.sent[route.connection])
        yield short_name(route.connection), values, report.limits.get(route.connection, ())
    if rest := sending[len(alone) :]:
        total = sum(_rates(pace, pace.sent[route.connection]) for route in rest)
        yield f"{len(rest)} other connections together", np.asarray(total), ()


def _rates(pace: AcceptedOverTime, sent: Mapping[int, int]) -> npt.NDArray[np.float64]:
    """Messages per unit of time, for each bucket."""
    values = np.zeros(pace.buckets)
    values[list(sent)] = list(sent.values())
    return values * (_unit(pace)[1] / pace.bucket_seconds)


def _unit(pace: AcceptedOverTime) -> tuple[str, int]:
    return ("second", 1) if pace.bucket_seconds < 60 else ("minute", 60)


def _panel(
    axes: Axes, pace: AcceptedOverTime, values: npt.NDArray[np.float64], bounds: Sequence[Bound]
) -> None:
    ends = pace.start + np.arange(len(values) + 1) * float(pace.bucket_seconds)
    edges = ends / _DAY_SECONDS  # matplotlib counts dates in days since the epoch
    axes.stairs(values, edges, fill=True, color=BLUE)
    top = _draw_limits(axes, bounds, float(values.max()), _unit(pace)[1])
    lines = len(axes.get_lines())
    axes.set_ylim(0, 1.15 * top / (1 - 0.17 * lines))  # leaves room for the legend
    axes.set_ylabel(f"sent per {_unit(pace)[0]}")
    axes.spines[["top", "right"]].set_visible(False)
    locator = dates.AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
    formatter = dates.ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)
    if lines:
        axes.legend(loc="upper right", fontsize=9, frameon=False)


def _draw_limits(axes: Axes, bounds: Sequence[Bound], top: float, seconds: int) -> float:
    """Draw a line for each limit at its average pace. Returns the top of everything drawn."""
    lowest = sorted(bounds, key=lambda bound: bound.per_second)[: len(_LINES)]
    for bound, style in zip(lowest, _LINES, strict=False):
        height = bound.per_second * seconds
        if height <= 3 * top:  # a higher line would flatten the rest
            axes.axhline(height, color=RED, linestyle=style, linewidth=1.5, label=str(bound))
            top = max(top, height)
    return top
