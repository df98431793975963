"""housekeeping by Prefect: the run's message, its page, and that nothing is sent again."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from flows.housekeeping import housekeeping
from flows.report_campaign import report_campaign
from tests.flows.conftest import Servers
from tests.flows.test_send_campaign import document, run, write_csv
from tests.flows.written import page


def make_old(state: Path) -> None:
    with closing(sqlite3.connect(state)) as connection, connection:
        connection.execute("UPDATE campaigns SET ended_at = ended_at - 500 * 86400")


async def test_the_archive_follows_the_plan_and_nobody_gets_the_mail_again(
    tmp_path: Path, servers: Servers, state: Path
) -> None:
    campaign = document(write_csv(tmp_path / "r.csv", 20))
    await run(campaign)
    make_old(state)
    planned = await housekeeping(return_state=True)
    assert planned.is_completed()
    assert "a plan, nothing was changed: 1 campaign with 20 recipients" in str(planned.message)
    (tmp_path / "archive").mkdir()
    final = await housekeeping(archive_folder=str(tmp_path / "archive"), return_state=True)
    assert final.message == "1 of 1 campaign archived, 20 rows deleted"
    text = await page("housekeeping")
    assert "1-spring-sale" in text
    assert "@" not in text
    again = await run(campaign)
    assert again.message == "nothing to send: campaign was completed before"
    assert sum(len(server.received) for server in servers.values()) == 20
    report = await report_campaign("spring-sale", return_state=True)
    assert report.message == "20 of 20 sent"
    assert "1-spring-sale" in await page("campaign-spring-sale")


def test_the_form_is_valid_without_changes() -> None:
    folder = housekeeping.parameters.properties["archive_folder"]
    assert folder["type"] == "string"
    assert folder["default"] == ""  # a null is refused by the server


async def test_a_missing_folder_is_reported(tmp_path: Path, state: Path) -> None:
    final = await housekeeping(archive_folder=str(tmp_path / "nowhere"), return_state=True)
    assert final.is_failed()
    assert "mount its disk" in str(final.message)
