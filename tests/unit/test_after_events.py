"""What follows recorded events: a report that cannot be refreshed hinders nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from flows.support import after_events as module
from mailsluice.store import Campaigns, Database


async def test_a_report_that_cannot_be_refreshed_hinders_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    async def refresh(_: Database, campaign_id: int) -> bool:
        asked.append(campaign_id)
        if campaign_id == 1:
            raise OSError("away: ann@example.com")
        return True

    async def refresh_list(_: Database) -> None:
        asked.append(0)

    monkeypatch.setattr(module, "refresh_report", refresh)
    monkeypatch.setattr(module, "refresh_campaigns", refresh_list)
    with Database(f"sqlite:///{tmp_path / 'state.db'}") as database:
        for name in ("first", "second"):
            Campaigns(database).register(name, {})
        await module.after_events(database, {2, 1}, logging.getLogger("events"))
    assert asked == [1, 2, 0]
    assert "the report of campaign 1 was not refreshed: OSError" in caplog.text
    assert "@" not in caplog.text
