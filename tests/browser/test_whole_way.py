"""The whole way in the UI: connection, check, a campaign by schedule, stop and go, report."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from tests.browser.block_form import BlockForm
from tests.browser.campaign_form import CampaignForm
from tests.browser.run_page import RunPage
from tests.browser.schedule_form import ScheduleForm
from tests.eventually import eventually
from tests.serving import Served
from tests.smtpd import Settings, SmtpServer

RECIPIENTS = 1_000
PLOTS = 2
CALLED = {"v1": "monday", "v2": "weekly"}


@pytest.mark.parametrize("ui", ["v2", "v1"])
def test_from_an_empty_server_to_the_report(
    page: Page, served: Served, picture: Callable[..., None], ui: str
) -> None:
    name = CALLED[ui]
    with SmtpServer(Settings(users={"me": "right"})) as server:
        make_connection(page, served, ui, name, server.port)
        verify_connection(page, served, ui, name, picture)
        assert not server.received
        run_id, campaign = schedule_campaign(page, served, ui, name, picture)

        run = RunPage(page, served, run_id, ui)
        eventually(lambda: len(server.received), lambda seen: seen >= 40)
        run.suspend()
        run.shows("Suspended")
        eventually(
            lambda: owner(served, campaign), lambda found: found is None
        )  # its process has ended
        before = len(server.received)
        assert 40 <= before < RECIPIENTS
        run.resume()
        run.shows("Completed")
        assert served.run_when_final(run_id)["state"]["message"] == "1,000 of 1,000 sent"
        assert len(server.received) == len(server.recipients) == RECIPIENTS

        run = RunPage(page, served, run_id, ui)
        run.open_artifact(f"campaign-{campaign.replace(' ', '-')}")
        expect(page.get_by_text("1,000 of 1,000 sent").first).to_be_visible()
        run.shows_pictures(PLOTS)


def make_connection(page: Page, served: Served, ui: str, name: str, port: int) -> None:
    form = BlockForm(page, served, ui=ui)
    form.name(name)
    form.fill("127.0.0.1", "Host")
    form.fill(str(port), "Port")
    form.choose("none", "Security")
    form.fill("me", "Username")
    form.password("right")
    form.switch("Allow plain password")
    form.save()


def verify_connection(
    page: Page, served: Served, ui: str, name: str, picture: Callable[..., None]
) -> None:
    page.goto(served.form_url(ui, served.deployment("verify-connection")))
    form = CampaignForm(page, ui)
    form.choose(name, "Connection")
    run_id = form.submit()
    assert served.run_when_final(run_id)["state"]["type"] == "COMPLETED"
    run = RunPage(page, served, run_id, ui)
    run.open_artifact(f"connection-{name}")
    expect(page.get_by_role("table").first).to_contain_text("PIPELINING")
    if ui == "v2":
        picture("verify-connection", width=1300, height=900)


def schedule_campaign(
    page: Page,
    served: Served,
    ui: str,
    connection: str,
    picture: Callable[..., None],
) -> tuple[str, str]:
    """Fill the form of a schedule in; the id and the name of its run, once it has begun."""
    form = ScheduleForm(page, served, ui)
    form.fill(f"{connection} {{date}}", "Name")
    form.fill("examples/recipients.csv", "Recipients", "File")
    form.fill("News <news@example.com>", "Message", "Sender")
    form.fill("Your week, {{ first_name }}", "Message", "Subject")
    form.fill("<p>Hello {{ first_name }}</p>", "Message", "HTML")
    form.add_route(connection)
    form.fill("100", "Throttle", "Per second")
    if ui == "v2":
        form.cron("0 9 * * MON")
        picture("schedule", width=1100, height=1200)
    when = once_soon()
    form.cron(when)
    schedule_id = form.save()
    (kept,) = served.api.get(f"/deployments/{served.deployment_id}/schedules").json()
    assert kept["schedule"]["cron"] == when
    run = eventually(lambda: begun(served, connection), bool)[0]
    path = f"/deployments/{served.deployment_id}/schedules/{schedule_id}"
    served.api.delete(path).raise_for_status()
    return str(run["id"]), str(run["name"])


def owner(served: Served, campaign: str) -> str | None:
    """The run that sends the campaign."""
    with sqlite3.connect(served.state) as connection:
        query = "SELECT owner FROM campaigns WHERE name = ?"
        found: str | None = connection.execute(query, (campaign,)).fetchone()[0]
    return found


def once_soon() -> str:
    """A minute that begins in 40 to 100 seconds, in the words of cron; it comes once a day."""
    minute = datetime.now(UTC) + timedelta(seconds=100)
    return f"{minute:%M %H} * * *"


def begun(served: Served, name: str) -> list[dict[str, object]]:
    """The runs of campaigns with that in their name that are under way."""
    body = {
        "deployments": {"id": {"any_": [served.deployment_id]}},
        "flow_runs": {"name": {"like_": name}, "state": {"type": {"any_": ["RUNNING"]}}},
    }
    runs = served.api.post("/flow_runs/filter", json=body).raise_for_status().json()
    return list(runs)
