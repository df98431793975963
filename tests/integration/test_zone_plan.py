"""The page of a plan whose sending window is in each recipient's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from mailsluice.campaign import Campaign
from mailsluice.operations import launch
from mailsluice.operations.plan.hour_figure import hour_picture
from mailsluice.operations.plan.launching import plan_launch
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database
from tests.databases import no_database

MORNING = {"days": "Mon-Fri", "start": "09:00", "end": "12:00", "timezone": "Europe/Berlin"}
MONDAY = datetime(2026, 11, 23, tzinfo=UTC)


def test_a_plan_page_shows_zones_hours_and_rows_without_a_zone(
    sqlite_database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "recipients.csv"
    zones = ["Asia/Tokyo"] * 300 + ["New York"] * 60 + ["soon", ""]
    rows = [f"user{place}@example.com,{zone}" for place, zone in enumerate(zones)]
    path.write_text("\n".join(["email,zone", *rows]))
    document = Campaign.model_validate(
        {
            "name": "spring",
            "recipients": {"path": str(path)},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "routes": [{"connection": "red"}],
            "throttle": {"per_hour": 60},
            "sending_window": {**MORNING, "zone_column": "zone"},
        }
    )
    red = {"red": Connection("red", "127.0.0.1", 25)}
    occasion = launch.Occasion(MONDAY.date(), MONDAY)
    with launch.resolve_audience(document, sqlite_database, no_database) as audience:
        plan = plan_launch(document, sqlite_database, audience, red, occasion)
    assert any("2 rows without a known time zone" in warning for warning in plan.warnings)
    page = plan.markdown(picture="![picture](data:)")
    assert "The sending window applies in 3 time zones" in page
    assert "| Asia/Tokyo | 300 | Mon 2026-11-23 09:00 | Tue 2026-11-24 11:00 |" in page
    assert "| America/New\\_York | 60 | Mon 2026-11-23 09:00 | Mon 2026-11-23 10:00 |" in page
    assert "| Europe/Berlin | 2 |" in page
    assert "| Mon 2026-11-23 14:00 | 60 | ██████████████████████████████ |" in page
    assert "![picture](data:)" in page
    assert plan.ends_at == MONDAY + timedelta(hours=26)
    assert plan.zones
    assert hour_picture(plan.zones).startswith("![Messages per hour: at most 60")
