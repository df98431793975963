"""The picture of a plan's course over time. Import this module only to draw."""

from __future__ import annotations

from matplotlib import dates
from matplotlib.figure import Figure

from mailsluice.operations.plan.zone_plan import ZonePlan
from mailsluice.reports.campaign.drawing import BLUE, WIDTH_INCHES, described

_DAY_SECONDS = 86_400


def hour_picture(plan: ZonePlan) -> str:
    """Draw the messages of each hour, or day, in Markdown; empty where there is none."""
    if not plan.course:
        return ""
    figure = Figure(figsize=(WIDTH_INCHES, 2.6), layout="constrained")
    axes = figure.add_subplot()
    places = [moment.timestamp() / _DAY_SECONDS for moment in plan.course]
    width = plan.step_seconds / _DAY_SECONDS
    axes.bar(places, [*plan.course.values()], width, align="edge", color=BLUE)
    axes.set_ylabel(f"messages per {plan.step}")
    axes.set_xlabel("time, UTC")
    axes.spines[["top", "right"]].set_visible(False)
    locator = dates.AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    most = max(plan.course, key=lambda moment: plan.course[moment])
    return described(
        figure,
        f"Messages per {plan.step}: at most {plan.course[most]:,.0f}, from {most:%a %H:%M} UTC",
    )
