"""The pictures of a report. Import this module only to draw: matplotlib loads slowly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mailsluice.core.status import RecipientStatus
from mailsluice.reports.campaign.drawing import BLUE, GREY, WIDTH_INCHES, described, short_name
from mailsluice.reports.campaign.pace_figure import pace_figure
from mailsluice.reports.campaign.page import PictureOf
from mailsluice.reports.campaign.provider_figure import provider_figure
from mailsluice.reports.campaign.report import OUTCOMES, Report, RouteReport, named

_MOST_BARS = 20
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
"""Colours that people with any colour vision can distinguish (Okabe and Ito, 2008)."""
_COLOUR = dict(zip(OUTCOMES, _OKABE_ITO, strict=True))


def pictures(report: Report) -> dict[PictureOf, str]:
    """Draw all pictures that the report has numbers for, in Markdown; takes half a second."""
    made: dict[PictureOf, Callable[[Report], str | None]] = {
        PictureOf.SHARES: _shares,
        PictureOf.OUTCOMES: _outcomes,
        PictureOf.PACE: pace_figure,
        PictureOf.PROVIDERS: provider_figure,
    }
    drawn = ((name, draw(report)) for name, draw in made.items())
    return {name: picture for name, picture in drawn if picture}


def _shares(report: Report) -> str | None:
    """A pair of bars for each connection: its planned and its sent share."""
    routes = [route for route in _largest(report) if route.connection]
    if len(routes) < 2 or not report.of(RecipientStatus.SENT):
        return None
    planned = np.array([report.planned_share(route) for route in routes]) * 100
    sent = np.array([report.sent_share(route) or 0.0 for route in routes]) * 100
    figure, axes = _bars(routes)
    places = np.arange(len(routes))
    axes.barh(places - 0.2, planned, 0.38, color=GREY, label="planned")
    axes.barh(places + 0.2, sent, 0.38, color=BLUE, label="sent")
    axes.set_xlabel("share of the campaign, %")
    _legend(figure, 2)
    gap = np.abs(planned - sent)
    worst = int(gap.argmax())
    off = f"{routes[worst].title} differs most, by {gap[worst]:.1f} percentage points"
    return described(figure, f"Planned and sent shares: {'equal' if gap[worst] < 0.05 else off}")


def _outcomes(report: Report) -> str | None:
    """A bar for each connection: the outcomes for its recipients in percent."""
    routes = [route for route in _largest(report) if route.recipients]
    if not routes:
        return None
    figure, axes = _bars(routes)
    left = np.zeros(len(routes))
    for status in report.shown:
        parts = np.array([100 * route.of(status) / route.recipients for route in routes])
        axes.barh(
            np.arange(len(routes)), parts, 0.7, left, color=_COLOUR[status], label=named(status)
        )
        left += parts
    axes.set_xlim(0, 100)
    axes.set_xlabel("recipients of the connection, %")
    _legend(figure, 4)
    failed = max(routes, key=lambda route: route.of(RecipientStatus.FAILED) / route.recipients)
    share = failed.of(RecipientStatus.FAILED) / failed.recipients
    finding = f"most failures over {failed.title}, {share:.1%}" if share else "none failed"
    return described(figure, f"Outcomes by connection: {finding}")


def _largest(report: Report) -> list[RouteReport]:
    """The largest routes that there is room for, in the campaign's order."""
    by_size = sorted(report.routes, key=lambda route: -max(route.planned, route.recipients))
    return [route for route in report.routes if route in by_size[:_MOST_BARS]]


def _bars(routes: Sequence[RouteReport]) -> tuple[Figure, Axes]:
    """A figure with room for a bar for each connection, the first on top."""
    height = 1.3 + 0.38 * len(routes)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yticks(np.arange(len(routes)), [short_name(route.title) for route in routes])
    axes.set_ylim(len(routes) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure: Figure, columns: int) -> None:
    figure.legend(loc="outside upper center", ncols=columns, frameon=False)
