"""The picture of a campaign's pace against its limits. Only who draws imports this."""

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
    """Messages accepted over time, a panel a connection, with its limits."""
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
    axes.set_xlabel(f"time, UTC; a step is {span_text(pace.bucket_seconds)}")
    busiest = max(pace.sent, key=pace.busiest)
    unit, seconds = _unit(pace)
    most = pace.busiest(busiest) * seconds / pace.bucket_seconds
    return described(figure, f"Messages accepted a {unit}: at most {most:,.0f}, over {busiest}")


_Panel = tuple[str, npt.NDArray[np.float64], Sequence[Bound]]


def _panels(report: Report, pace: AcceptedOverTime) -> Iterator[_Panel]:
    """The connections that sent most, and the sum of the others."""
    sending = [one for one in report.routes if one.connection in pace.sent]
    sending.sort(key=lambda one: -one.of(RecipientStatus.SENT))
    alone = sending if len(sending) <= _MOST_PANELS + 1 else sending[:_MOST_PANELS]
    for one in alone:
        values = _rates(pace, pace.sent[one.connection])
        yield short_name(one.connection), values, report.limits.get(one.connection, ())
    if rest := sending[len(alone) :]:
        total = sum(_rates(pace, pace.sent[one.connection]) for one in rest)
        yield f"{len(rest)} other connections together", np.asarray(total), ()


def _rates(pace: AcceptedOverTime, sent: Mapping[int, int]) -> npt.NDArray[np.float64]:
    """Messages a unit of time, bucket by bucket."""
    values = np.zeros(pace.buckets)
    values[list(sent)] = list(sent.values())
    return values * (_unit(pace)[1] / pace.bucket_seconds)


def _unit(pace: AcceptedOverTime) -> tuple[str, int]:
    return ("second", 1) if pace.bucket_seconds < 60 else ("minute", 60)


def _panel(
    axes: Axes, pace: AcceptedOverTime, values: npt.NDArray[np.float64], bounds: Sequence[Bound]
) -> None:
    ends = pace.start + np.arange(len(values) + 1) * float(pace.bucket_seconds)
    edges = ends / _DAY_SECONDS  # dates are days since the epoch to matplotlib
    axes.stairs(values, edges, fill=True, color=BLUE)
    top = _draw_limits(axes, bounds, float(values.max()), _unit(pace)[1])
    lines = len(axes.get_lines())
    axes.set_ylim(0, 1.15 * top / (1 - 0.17 * lines))  # with room for the legend
    axes.set_ylabel(f"sent a {_unit(pace)[0]}")
    axes.spines[["top", "right"]].set_visible(False)
    locator = dates.AutoDateLocator(tz=UTC)  # type: ignore[no-untyped-call]
    formatter = dates.ConciseDateFormatter(locator, tz=UTC)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)
    if lines:
        axes.legend(loc="upper right", fontsize=9, frameon=False)


def _draw_limits(axes: Axes, bounds: Sequence[Bound], top: float, seconds: int) -> float:
    """Lines at the paces that they allow on average; the top of all that is drawn."""
    lowest = sorted(bounds, key=lambda one: one.per_second)[: len(_LINES)]
    for bound, style in zip(lowest, _LINES, strict=False):
        height = bound.per_second * seconds
        if height <= 3 * top:  # else it would press the rest flat
            axes.axhline(height, color=RED, linestyle=style, linewidth=1.5, label=str(bound))
            top = max(top, height)
    return top
