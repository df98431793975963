"""The whole way: connection, check, a campaign by schedule, stop and go, report, comparison.

In the newer UI, which opens by default. Where the older one's code or ours differs, it is tested
beside: its forms and links (`test_forms`, `test_form_links`), its buttons (`test_stop_and_go`),
and here its schedules and how it shows a report.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import Page, expect

from blocks import SMTPConnection
from tests.browser.block_form import BlockForm
from tests.browser.campaign_form import CampaignForm
from tests.browser.leaving import until_no_run_sends
from tests.browser.run_page import RunPage, open_artifact
from tests.browser.schedule_form import ScheduleForm
from tests.eventually import eventually
from tests.saved_blocks import remove
from tests.serving import Served
from tests.smtpd import Settings, SmtpServer

ROUTES = {"sendgrid": 70, "sparkpost": 30}
LOGIN: dict[str, Any] = {"username": "me", "password": "right", "allow_plain_password": True}
MONDAYS = "0 9 * * MON"


def test_from_an_empty_server_to_the_report_and_a_comparison(
    page: Page,
    served: Served,
    save_connection: Callable[..., None],
    picture: Callable[..., None],
) -> None:
    with SmtpServer(Settings(users={"me": "right"})) as sendgrid, SmtpServer() as sparkpost:
        save_connection("sparkpost", port=sparkpost.port, per_second=1)
        remove(SMTPConnection, "sendgrid")
        make_connection(page, served, sendgrid.port)
        verify_connection(page, served, picture)
        assert not sendgrid.received
        run_id, campaign = schedule_campaign(page, served, picture)
        assert re.fullmatch(r"weekly \d{4}-\d\d-\d\d", campaign)

        eventually(lambda: min(len(sendgrid.received), len(sparkpost.received)))
        run = RunPage(page, served, run_id)
        run.suspend()
        run.shows("Suspended")
        run.shows_subflows(campaign, ROUTES, "Suspended")
        picture("run-suspended", width=1100, height=900)
        until_no_run_sends(served, campaign)
        assert len(sendgrid.received) < 700
        save_connection("sendgrid", port=sendgrid.port, **LOGIN)  # and fast from now on
        save_connection("sparkpost", port=sparkpost.port)
        run.resume()
        assert served.run_when_final(run_id)["state"]["message"] == "1,000 of 1,000 sent"
        assert len(sendgrid.received) == len(sendgrid.recipients) == 700
        assert len(sparkpost.received) == len(sparkpost.recipients) == 300

    run = RunPage(page, served, run_id)
    run.shows("Completed")
    run.shows_subflows(campaign, ROUTES, "Completed")
    picture("run", width=1100, height=900)
    key = campaign.replace(" ", "-")
    run.open_artifact(f"campaign-{key}")
    shows_report(page)
    first = page.get_by_role("heading", name="Connections")  # not the file's path, above it
    picture("report", first=first, last=page.get_by_role("img", name="Outcomes"), width=1300)
    open_artifact(page, served, "v1", f"campaign-{key}")
    shows_report(page)

    compare(page, served, campaign, f"comparison-{key}")
    picture("comparison", width=1300, height=1100)


def make_connection(page: Page, served: Served, port: int) -> None:
    form = BlockForm(page, served)
    form.name("sendgrid")
    form.fill("127.0.0.1", "Host")
    form.fill(str(port), "Port")
    form.choose("none", "Security")
    form.fill("me", "Username")
    form.password("right")
    form.switch("Allow plain password")
    form.fill("1", "Per second")
    form.save()


def verify_connection(page: Page, served: Served, picture: Callable[..., None]) -> None:
    form = CampaignForm.of(page, served, flow="verify-connection")
    form.choose("sendgrid", "Connection")
    run_id = form.submit()
    run = served.run_when_final(run_id)
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["name"] == "verify sendgrid"
    RunPage(page, served, run_id).open_artifact("connection-sendgrid")
    expect(page.get_by_role("table").first).to_contain_text("PIPELINING")
    picture("verify-connection", width=1300, height=900)


def fill_in(form: ScheduleForm, routes: Mapping[str, int]) -> None:
    form.fill_in("weekly {date}")
    form.choose("percentage", "Strategy")
    for name, percent in routes.items():
        form.add_route(name, str(percent))
    form.fill("30000", "Throttle", "Per minute")
    form.cron(MONDAYS)


def schedule_campaign(page: Page, served: Served, picture: Callable[..., None]) -> tuple[str, str]:
    """Fill the form of a schedule in, and start its next run; the run's id and name."""
    form = ScheduleForm(page, served, "v2")
    fill_in(form, ROUTES)
    picture("schedule", width=1100, height=1200)
    schedule = form.save()
    assert schedule["schedule"]["cron"] == MONDAYS
    run_id = next_run(served)["id"]
    now = {"type": "SCHEDULED", "state_details": {"scheduled_time": datetime.now(UTC).isoformat()}}
    path = f"/flow_runs/{run_id}"
    served.api.post(f"{path}/set_state", json={"state": now}).raise_for_status()
    eventually(lambda: served.api.get(path).json(), lambda run: run["state_type"] == "RUNNING")
    path = f"/deployments/{served.deployment_id}/schedules/{schedule['id']}"
    served.api.delete(path).raise_for_status()
    return str(run_id), str(served.api.get(f"/flow_runs/{run_id}").json()["name"])


def next_run(served: Served) -> dict[str, Any]:
    """The next run of the schedule, as soon as Prefect's scheduler has made it."""
    asked = {
        "deployments": {"id": {"any_": [served.deployment_id]}},
        "flow_runs": {
            "tags": {"all_": ["auto-scheduled"]},
            "state": {"name": {"any_": ["Scheduled"]}},
        },
        "sort": "EXPECTED_START_TIME_ASC",
    }
    return dict(eventually(lambda: served.api.post("/flow_runs/filter", json=asked).json())[0])


def shows_report(page: Page) -> None:
    """The numbers, and pictures that are really drawn, as wide as they were made."""
    table = page.get_by_role("table").first
    expect(table.get_by_role("row").nth(1)).to_contain_text("sendgrid70070.00%700")
    expect(table.get_by_role("row").nth(2)).to_contain_text("sparkpost30030.00%300")
    drawn = page.locator("img[src^='data:image/png']")
    expect(drawn).to_have_count(3)
    assert drawn.evaluate_all("all => all.map(one => one.naturalWidth)") == [770] * 3


def compare(page: Page, served: Served, campaign: str, key: str) -> None:
    path = f"/deployments/{served.deployment('compare-connections')}/create_flow_run"
    parameters = {"campaigns": [campaign]}
    run = served.api.post(path, json={"parameters": parameters}).raise_for_status().json()
    assert served.run_when_final(run["id"])["state_type"] == "COMPLETED"
    open_artifact(page, served, "v2", key)
    expect(page.get_by_text("sendgrid").first).to_be_visible()
    picture = page.locator("img[src^='data:image/']")
    expect(picture).to_have_count(1)
    assert picture.evaluate("image => image.naturalWidth")


def test_the_older_uis_schedule_keeps_the_same_campaign(
    page: Page, served: Served, connections: None
) -> None:
    routes = {"sendgrid": 70, "sparkpost": 30}
    form = ScheduleForm(page, served, "v1")
    fill_in(form, routes)
    kept = form.save()
    path = f"/deployments/{served.deployment_id}/schedules/{kept['id']}"
    served.api.delete(path).raise_for_status()
    assert kept["schedule"]["cron"] == MONDAYS
    campaign = kept["parameters"]["campaign"]
    assert campaign["name"] == "weekly {date}"
    assert [route["percent"] for route in campaign["routes"]] == [*routes.values()]
    assert campaign["throttle"] == {"per_minute": 30_000}
