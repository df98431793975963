"""The task that publishes the report of a campaign, and writes the same page into a file."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from prefect import get_run_logger, task

from mailsluice.reports.campaign import PictureOf, Report, Statistics, page
from mailsluice.reports.campaign.page import refreshed
from mailsluice.reports.campaign.queries import later_statistics, statistics
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.store import Campaigns, Database, Summary
from tasks.form_links import form_links
from tasks.publishing import UNSTORED, publish, republish

_Result = TypeVar("_Result")


@task(name="report", task_run_name="Publish the report", **UNSTORED)
async def publish_report(report: Report, database: Database) -> None:
    """Publish the report under one key for each campaign, and write it into a file of HTML.

    A part that cannot be counted, drawn or written is left out, with a warning in the log: a report
    never decides how a run ends.
    """
    linking = asyncio.ensure_future(form_links(_next(report), report.campaign))
    counted = await _or_none("statistics", _counted, report, database)
    full = replace(report, statistics=counted)
    pictures = await _or_none("pictures", _drawn, full) or {}
    file = await _or_none("file of HTML", _written, full, database, pictures)
    await publish(
        "campaign",
        report.campaign,
        page=page(full, pictures, str(file or ""), await linking),
        summary=report.summary(),
    )
    await asyncio.to_thread(_reported, report, database)


def _reported(report: Report, database: Database) -> None:
    Summary(database, Campaigns(database).get(report.campaign).id).reported()


async def refresh_report(database: Database, campaign_id: int) -> bool:
    """Bring deliveries and bounces on the campaign's latest report up to date, in place.

    Returns whether there is a report: a campaign that is still sent has none.
    """
    name = await asyncio.to_thread(Campaigns(database).name, campaign_id)

    def change(text: str) -> str:
        later = later_statistics(database, campaign_id)
        return refreshed(text, stored_report(database, name), later)

    return await republish("campaign", name, change)


def _next(report: Report) -> dict[str, str]:
    """Labels of the forms that come next, by flow."""
    if report.open:
        send = "Continue this campaign"
    else:
        send = "Send a similar campaign: change its name first"
    return {
        "send-campaign": send,
        "plan-campaign": "Plan a similar campaign",
        "send-test": "Send copies of the message to yourself",
    }


async def _or_none(what: str, make: Callable[..., _Result], *given: Any) -> _Result | None:
    try:
        return await asyncio.to_thread(make, *given)
    except Exception:  # noqa: BLE001 - a report must not change how a run ends
        get_run_logger().warning("the report is published without its %s", what, exc_info=True)
        return None


def _counted(report: Report, database: Database) -> Statistics:
    return statistics(database, Campaigns(database).get(report.campaign).id)


def prepare_pictures() -> None:
    """Import what draws the pictures, which takes as long as drawing them, in another thread."""

    def load() -> None:
        with suppress(Exception):  # the report is published without its pictures then
            importlib.import_module("mailsluice.reports.campaign.figures")

    asyncio.get_running_loop().run_in_executor(None, load)


def _drawn(report: Report) -> dict[PictureOf, str]:
    from mailsluice.reports.campaign.figures import pictures

    return pictures(report)


def _written(report: Report, database: Database, pictures: Mapping[PictureOf, str]) -> Path:
    from mailsluice.reports.campaign.file import write_report

    return write_report(report, database, pictures)
