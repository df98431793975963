"""The pictures of a report. Only who draws imports this: matplotlib takes half a second to load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC

import numpy as np
import numpy.typing as npt
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mailsluice.markdown import cell
from mailsluice.masking import masked
from mailsluice.pacing import Bound
from mailsluice.picture import picture
from mailsluice.report.page import PictureOf
from mailsluice.report.report import OUTCOMES, Report, RouteReport
from mailsluice.report.statistics import Pace, span_text
from mailsluice.status import RecipientStatus

_DAY_SECONDS = 86_400
_WIDTH_INCHES = 7.0
_MOST_BARS = 20
_MOST_PANELS = 5
_MOST_LETTERS = 24
_OKABE_ITO = (
    "#009E73",
    "#E69F00",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#F0E442",
    "#999999",
    "#000000",
)
"""Colours that everybody can tell apart (Okabe and Ito, Color Universal Design)."""
_COLOUR = dict(zip(OUTCOMES, _OKABE_ITO, strict=True))
_BLUE, _RED = "#0072B2", "#D55E00"
_LINES = ("--", "-.", ":")


def pictures(report: Report) -> dict[PictureOf, str]:
    """Everything that can be drawn of a report, in Markdown; takes about a second."""
    made: dict[PictureOf, Callable[[Report], str | None]] = {
        PictureOf.SHARES: _shares,
        PictureOf.OUTCOMES: _outcomes,
        PictureOf.PACE: _pace,
    }
    drawn = ((name, draw(report)) for name, draw in made.items())
    return {name: one for name, one in drawn if one}


def _shares(report: Report) -> str | None:
    """Planned against sent share, a pair of bars a connection."""
    routes = _largest(report)
    if len(routes) < 2 or not report.of(RecipientStatus.SENT):
        return None
    planned = np.array([report.planned_share(one) for one in routes]) * 100
    sent = np.array([report.sent_share(one) or 0.0 for one in routes]) * 100
    figure, axes = _bars(routes)
    places = np.arange(len(routes))
    axes.barh(places - 0.2, planned, 0.38, color="#999999", label="planned")
    axes.barh(places + 0.2, sent, 0.38, color=_BLUE, label="sent")
    axes.set_xlabel("share of the campaign, %")
    _legend(figure, 2)
    gap = np.abs(planned - sent)
    worst = int(gap.argmax())
    off = f"{routes[worst].connection} is off by {gap[worst]:.1f} points, no other by more"
    return _picture(figure, f"Planned and sent shares: {'alike' if gap[worst] < 0.05 else off}")


def _outcomes(report: Report) -> str | None:
    """What became of each connection's recipients, as parts of 100 %."""
    routes = [one for one in _largest(report) if one.recipients]
    if not routes:
        return None
    figure, axes = _bars(routes)
    left = np.zeros(len(routes))
    for status in report.shown:
        parts = np.array([100 * one.of(status) / one.recipients for one in routes])
        axes.barh(np.arange(len(routes)), parts, 0.7, left, color=_COLOUR[status], label=status)
        left += parts
    axes.set_xlim(0, 100)
    axes.set_xlabel("recipients of the connection, %")
    _legend(figure, 4)
    failed = max(routes, key=lambda one: one.of(RecipientStatus.FAILED) / one.recipients)
    share = failed.of(RecipientStatus.FAILED) / failed.recipients
    finding = f"most failures over {failed.connection}, {share:.1%}" if share else "none failed"
    return _picture(figure, f"Outcomes by connection: {finding}")


def _pace(report: Report) -> str | None:
    """Messages accepted over time, a panel a connection, with its limits."""
    pace = report.statistics.pace if report.statistics else None
    if pace is None or not pace.sent:
        return None
    panels = list(_panels(report, pace))
    figure = Figure(figsize=(_WIDTH_INCHES, 0.5 + 1.9 * len(panels)), layout="constrained")
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
    return _picture(figure, f"Messages accepted a {unit}: at most {most:,.0f}, over {busiest}")


def _picture(figure: Figure, alt: str) -> str:
    return picture(figure, cell(masked(alt)))


_Panel = tuple[str, npt.NDArray[np.float64], Sequence[Bound]]


def _panels(report: Report, pace: Pace) -> Iterator[_Panel]:
    """The connections that sent most, and the sum of the others."""
    sending = [one for one in report.routes if one.connection in pace.sent]
    sending.sort(key=lambda one: -one.of(RecipientStatus.SENT))
    alone = sending if len(sending) <= _MOST_PANELS + 1 else sending[:_MOST_PANELS]
    for one in alone:
        values = _rates(pace, pace.sent[one.connection])
        yield _name(one), values, report.limits.get(one.connection, ())
    if rest := sending[len(alone) :]:
        total = sum(_rates(pace, pace.sent[one.connection]) for one in rest)
        yield f"{len(rest)} other connections together", np.asarray(total), ()


def _rates(pace: Pace, sent: Mapping[int, int]) -> npt.NDArray[np.float64]:
    """Messages a unit of time, bucket by bucket."""
    values = np.zeros(pace.buckets)
    values[list(sent)] = list(sent.values())
    return values * (_unit(pace)[1] / pace.bucket_seconds)


def _unit(pace: Pace) -> tuple[str, int]:
    return ("second", 1) if pace.bucket_seconds < 60 else ("minute", 60)


def _panel(
    axes: Axes, pace: Pace, values: npt.NDArray[np.float64], bounds: Sequence[Bound]
) -> None:
    ends = pace.start + np.arange(len(values) + 1) * float(pace.bucket_seconds)
    edges = ends / _DAY_SECONDS  # dates are days since the epoch to matplotlib
    axes.stairs(values, edges, fill=True, color=_BLUE)
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
            axes.axhline(height, color=_RED, linestyle=style, linewidth=1.5, label=str(bound))
            top = max(top, height)
    return top


def _largest(report: Report) -> list[RouteReport]:
    """As many as there is room for, in the order of the campaign."""
    by_size = sorted(report.routes, key=lambda one: -max(one.planned, one.recipients))
    return [one for one in report.routes if one in by_size[:_MOST_BARS]]


def _bars(routes: Sequence[RouteReport]) -> tuple[Figure, Axes]:
    """Room for a bar a connection, the first on top."""
    height = 1.3 + 0.38 * len(routes)
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yticks(np.arange(len(routes)), [_name(one) for one in routes])
    axes.set_ylim(len(routes) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure: Figure, columns: int) -> None:
    figure.legend(loc="outside upper center", ncols=columns, frameon=False)


def _name(route: RouteReport) -> str:
    """As it is written beside a bar: $ would begin a formula."""
    name = masked(route.connection)
    short = name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
    return short.replace("$", r"\$")
