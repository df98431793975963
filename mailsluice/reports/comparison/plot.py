"""The plot of rates and their intervals, a line for each connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mailsluice.reports.comparison.observed import Measure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mailsluice.reports.comparison.comparison import Rate


def rates_plot(rates: Sequence[Rate], measures: Sequence[Measure]) -> Figure:
    """Draw a panel for each measure; connections without mail are left out."""
    from matplotlib.figure import Figure

    shown = [rate for rate in rates if rate.interval]
    names = sorted({rate.connection for rate in shown})
    figure = Figure(figsize=(11, 1.2 + 0.35 * len(names)), layout="constrained")
    panels = figure.subplots(1, len(measures), sharey=True)
    for measure, axes in zip(measures, panels, strict=True):
        _panel(axes, names, [rate for rate in shown if rate.measure is measure])
        axes.set_title(measure.value)
    panels[0].set_yticks(range(len(names)), names, parse_math=False)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    return figure


def _panel(axes: Axes, names: list[str], rates: list[Rate]) -> None:
    for rate in rates:
        low, high = rate.interval or (0.0, 1.0)
        line = names.index(rate.connection)
        axes.plot([100 * low, 100 * high], [line, line], color="0.45", linewidth=2)
        axes.plot([100 * rate.events / rate.mail], [line], "o", color="tab:blue")
    axes.set_xlabel("%")
    axes.grid(axis="x", alpha=0.3)
