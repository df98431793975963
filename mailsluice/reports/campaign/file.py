"""A campaign's report as a file of HTML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slugify import slugify

from mailsluice.core.private import private_file, private_folder
from mailsluice.reports.campaign.html import html
from mailsluice.reports.campaign.page import PictureOf, page
from mailsluice.reports.campaign.report import Report
from mailsluice.store import Campaigns, Database, home

_LONGEST_SLUG = 80


def write_report(
    report: Report, database: Database, pictures: Mapping[PictureOf, str] | None = None
) -> Path:
    """Write the report into the folder `reports` of the home folder, readable by its owner alone.

    The file gets its name when it is complete, and replaces that of an earlier report.
    """
    number = Campaigns(database).get(report.campaign).id
    slug = slugify(report.campaign, max_length=_LONGEST_SLUG) or "campaign"
    path = home() / "reports" / f"{slug}-{number}.html"
    private_folder(path.parent)
    unfinished = path.with_suffix(".unfinished")
    private_file(unfinished)
    unfinished.write_text(html(report.campaign, page(report, pictures or {})), encoding="utf-8")
    return unfinished.replace(path)
