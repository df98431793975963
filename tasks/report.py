"""The task that shows what happened: an artifact in Prefect, and the same as a file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from prefect import get_run_logger, task
from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from slugify import slugify

from mailsluice.reports.campaign import PictureOf, Report, Statistics, page
from mailsluice.reports.campaign.queries import statistics
from mailsluice.store import Campaigns, Database
from tasks.form_links import form_links

_Made = TypeVar("_Made")


@task(
    name="report",
    task_run_name="Write the report",
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def publish_report(report: Report, database: Database) -> None:
    """Write the report as a markdown artifact, one key a campaign, and as a file of HTML.

    What cannot be counted, drawn or written is left out, with a warning: a report never decides how
    a run ends.
    """
    counted = await _unless_it_fails("statistics", _counted, report, database)
    full = replace(report, statistics=counted)
    pictures = await _unless_it_fails("pictures", _drawn, full) or {}
    file = await _unless_it_fails("file of HTML", _written, full, database, pictures)
    links = await form_links(_next(report), report.campaign)
    await acreate_markdown_artifact(
        key=f"campaign-{slugify(report.campaign) or 'report'}",
        markdown=page(full, pictures, str(file or ""), links),
        description=report.summary(),
    )


def _next(report: Report) -> dict[str, str]:
    """The forms that lead on from a report; with another name, where its campaign is complete."""
    if report.open:
        send = "Go on with this campaign"
    else:
        send = "Send another one like it: change its name first"
    return {
        "send-campaign": send,
        "plan-campaign": "Plan one like it",
        "send-test": "Send copies of its message to yourself",
    }


async def _unless_it_fails(what: str, make: Callable[..., _Made], *given: Any) -> _Made | None:
    try:
        return await asyncio.to_thread(make, *given)
    except Exception:  # noqa: BLE001 - whatever it is, it must not change how a run ends
        get_run_logger().warning("the report has to do without its %s", what, exc_info=True)
        return None


def _counted(report: Report, database: Database) -> Statistics:
    return statistics(database, Campaigns(database).get(report.campaign).id)


def _drawn(report: Report) -> dict[PictureOf, str]:
    from mailsluice.reports.campaign.figures import pictures

    return pictures(report)


def _written(report: Report, database: Database, pictures: Mapping[PictureOf, str]) -> Path:
    from mailsluice.reports.campaign.file import write_report

    return write_report(report, database, pictures)
