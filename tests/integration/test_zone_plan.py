"""The plan of a campaign by time zone, and what the command tells of the campaign."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.command import main
from mailsluice.campaign import Campaign
from mailsluice.operations import launch
from mailsluice.operations.plan.launching import plan_launch
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database
from tasks.plan import drawn
from tests.databases import no_database
from tests.integration.test_zone_claims import BERLIN, HOUR, TOKYO, World

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
    assert "| not known: Europe/Berlin | 2 |" in page
    assert "| Mon 2026-11-23 14:00 | ██████████████████████████████ | 60 |" in page
    assert "![picture](data:)" in page
    assert plan.ends_at == MONDAY + timedelta(hours=26)
    assert plan.zones
    assert drawn(plan).startswith("![Messages per hour: at most 60")


def test_the_command_tells_who_waits_in_each_zone(
    database: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MAILSLUICE_DATABASE_URL", database_url)
    world = World(database, {TOKYO: 3, BERLIN: 2})
    world.now += HOUR
    world.settle(world.claim().rows)
    assert main(["status", world.name, "--by", "zone"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"Asia/Tokyo +3 +3 +0\n", shown)
    assert re.search(r"not known +2 +0 +2\n", shown)
    assert main(["status", world.name, "--by", "zone", "--json"]) == 0
    tokyo, _ = json.loads(capsys.readouterr().out)
    assert (tokyo["zone"], tokyo["sent"], tokyo["left"]) == (TOKYO, 3, {})
    Campaigns(database).register("plain", {})
    assert main(["status", "plain", "--by", "zone"]) == 0
    assert "plain is not sent by time zone" in capsys.readouterr().out
