"""The pictures of a report. Only who draws imports this: matplotlib takes a while to load."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mailsluice.core.status import RecipientStatus
from mailsluice.reports.campaign.drawing import BLUE, GREY, WIDTH_INCHES, described, short_name
from mailsluice.reports.campaign.pace_figure import pace_figure
from mailsluice.reports.campaign.page import PictureOf
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
"""Colours that everybody can tell apart (Okabe and Ito, Color Universal Design)."""
_COLOUR = dict(zip(OUTCOMES, _OKABE_ITO, strict=True))


def pictures(report: Report) -> dict[PictureOf, str]:
    """Everything that can be drawn of a report, in Markdown; takes half a second."""
    made: dict[PictureOf, Callable[[Report], str | None]] = {
        PictureOf.SHARES: _shares,
        PictureOf.OUTCOMES: _outcomes,
        PictureOf.PACE: pace_figure,
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
    axes.barh(places - 0.2, planned, 0.38, color=GREY, label="planned")
    axes.barh(places + 0.2, sent, 0.38, color=BLUE, label="sent")
    axes.set_xlabel("share of the campaign, %")
    _legend(figure, 2)
    gap = np.abs(planned - sent)
    worst = int(gap.argmax())
    off = f"{routes[worst].connection} is off by {gap[worst]:.1f} points, no other by more"
    return described(figure, f"Planned and sent shares: {'alike' if gap[worst] < 0.05 else off}")


def _outcomes(report: Report) -> str | None:
    """What became of each connection's recipients, as parts of 100 %."""
    routes = [one for one in _largest(report) if one.recipients]
    if not routes:
        return None
    figure, axes = _bars(routes)
    left = np.zeros(len(routes))
    for status in report.shown:
        parts = np.array([100 * one.of(status) / one.recipients for one in routes])
        axes.barh(
            np.arange(len(routes)), parts, 0.7, left, color=_COLOUR[status], label=named(status)
        )
        left += parts
    axes.set_xlim(0, 100)
    axes.set_xlabel("recipients of the connection, %")
    _legend(figure, 4)
    failed = max(routes, key=lambda one: one.of(RecipientStatus.FAILED) / one.recipients)
    share = failed.of(RecipientStatus.FAILED) / failed.recipients
    finding = f"most failures over {failed.connection}, {share:.1%}" if share else "none failed"
    return described(figure, f"Outcomes by connection: {finding}")


def _largest(report: Report) -> list[RouteReport]:
    """As many as there is room for, in the order of the campaign."""
    by_size = sorted(report.routes, key=lambda one: -max(one.planned, one.recipients))
    return [one for one in report.routes if one in by_size[:_MOST_BARS]]


def _bars(routes: Sequence[RouteReport]) -> tuple[Figure, Axes]:
    """Room for a bar a connection, the first on top."""
    height = 1.3 + 0.38 * len(routes)
    figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_yticks(np.arange(len(routes)), [short_name(one.connection) for one in routes])
    axes.set_ylim(len(routes) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(figure: Figure, columns: int) -> None:
    figure.legend(loc="outside upper center", ncols=columns, frameon=False)
