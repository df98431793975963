"""The four flows that change the suppression list: effects, messages, and hidden addresses."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.events.filters import EventFilter, EventNameFilter

from flows.add_suppressions import add_suppressions
from flows.export_suppressions import export_suppressions
from flows.import_suppressions import import_suppressions
from flows.plan_campaign import plan_campaign
from flows.remove_suppressions import remove_suppressions
from flows.support.bounce_shares import emit_bounce_alerts
from flows.support.events import Milestone
from mailsluice.operations.plan import Plan
from mailsluice.store import Database
from tests.eventually import eventually_async
from tests.flows.conftest import Servers
from tests.flows.running import result
from tests.flows.test_send_campaign import document, run, write_csv
from tests.flows.written import page


def listed(state: Path) -> dict[str, str]:
    with sqlite3.connect(state) as connection:
        return dict(connection.execute("SELECT email, reason FROM suppressions"))


async def test_a_list_is_imported_changed_by_hand_and_exported(
    tmp_path: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "sendgrid.csv"
    source.write_text("email,type\nann@example.com,bounce\nbob@example.com,spamreport\nnobody,x\n")

    final = await import_suppressions({"path": str(source)}, return_state=True)
    assert final.is_completed()
    assert final.message == "3 rows: 2 new, 0 on the list already, 1 bad"
    before = await page("suppressions")
    assert "| bounced | 1 |" in before
    assert "| 3 | not an address that mail can be sent to |" in before

    final = await add_suppressions(["carl@example.com"], return_state=True)
    assert final.message == "1 added"
    final = await remove_suppressions(["ann@example.com", "bob@example.com"], return_state=True)
    assert final.message == "1 removed, 1 stay: unsubscribed or complained"
    assert "even\\_unsubscribed" in await page("suppressions")
    assert listed(state) == {"bob@example.com": "complained", "carl@example.com": "manual"}

    path = tmp_path / "list.csv"
    final = await export_suppressions(str(path), reasons=["complained"], return_state=True)
    assert final.message == f"1 addresses in {path}"
    assert "bob@example.com" in path.read_text()

    assert "@example.com" not in caplog.text + before + await page("suppressions")


async def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    source = {"path": str(tmp_path / "no.csv")}
    for final in (
        await import_suppressions(source, return_state=True),
        await import_suppressions({}, return_state=True),
        await import_suppressions({"query": "select 1", "database": "no"}, return_state=True),
        await remove_suppressions(path=source["path"], return_state=True),
        await remove_suppressions(return_state=True),
        await add_suppressions(["nobody"], return_state=True),
        await export_suppressions(str(tmp_path / "x.txt"), return_state=True),
    ):
        assert final.is_failed()
        assert final.message
        assert "Traceback" not in final.message


async def test_a_campaign_with_too_many_bounces_is_reported_once_for_each_threshold(
    tmp_path: Path, servers: Servers, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    csv = write_csv(tmp_path / "r.csv", 58)
    csv.write_text(csv.read_text() + "".join(f"550-at-rcpt.{i}@x.de,No\n" for i in range(4)))
    name = "too much comes back"
    final = await run(document(csv, name=name))
    assert final.is_completed()
    told = [line for line in caplog.messages if "hard bounces of 62" in line]
    assert told == [
        f"{name}: 4 hard bounces of 62 (6.45 %): more than {threshold} %" for threshold in (2, 5)
    ]
    thresholds = await eventually_async(lambda: emitted(name), lambda found: len(found) == 2)
    assert thresholds == {"2", "5"}
    with Database() as database:
        await emit_bounce_alerts(database, [1], logging.getLogger("again"))
    assert len([line for line in caplog.messages if "hard bounces of 62" in line]) == 2

    plan = await result(plan_campaign, document(csv, name="summer"))
    assert isinstance(plan, Plan)
    assert plan.held_back == {"bounced": 4}


async def emitted(campaign: str) -> set[str]:
    """The thresholds in a campaign's events on Prefect's server."""
    wanted = EventFilter(event=EventNameFilter(name=[str(Milestone.BOUNCES_HIGH)]))
    async with get_client() as client:
        found = (await client.read_events(wanted, limit=50)).events
    mine = [one for one in found if one.payload["campaign"] == campaign]
    return {one.resource["mailsluice.threshold"] for one in mine}
