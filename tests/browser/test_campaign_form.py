"""The form that operators fill in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.campaign_form import CampaignForm
from tests.browser.run_page import RunPage
from tests.browser.schema_form import JSON_EDITOR
from tests.serving import Served
from tests.smtpd import SmtpServer

UIS = ["v1", "v2"]


@pytest.mark.parametrize("ui", UIS)
def test_campaign_form_has_no_json_field(page: Page, served: Served, ui: str) -> None:
    page.goto(served.form_url(ui))
    form = CampaignForm(page, ui)
    form.field("Routes").get_by_role("button", name="Add item").click()
    expect(form.field("Routes", "Connection")).to_be_visible()
    expect(form.field("When a connection is down")).to_be_visible()
    expect(page.locator(JSON_EDITOR[ui])).to_have_count(0)


@pytest.mark.parametrize("ui", UIS)
def test_the_form_of_a_plan_has_no_json_field_either(page: Page, served: Served, ui: str) -> None:
    page.goto(served.form_url(ui, served.deployment("plan-campaign")))
    form = CampaignForm(page, ui)
    expect(form.field("Sending window", "Time zone")).to_be_visible()
    form.field("Routes").get_by_role("button", name="Add item").click()
    expect(form.field("Routes", "Grows from")).to_be_visible()
    expect(form.field("Starts at")).to_be_visible()
    expect(page.locator(JSON_EDITOR[ui])).to_have_count(0)


def fill_in(form: CampaignForm, name: str) -> None:
    form.fill(name, "Name")
    form.fill("examples/recipients.csv", "Recipients", "File")
    form.fill("News <news@example.com>", "Message", "Sender")
    form.fill("Hi {{ first_name }}", "Message", "Subject")
    form.fill('<p>Hello</p><img src="http://example.com/a.png">', "Message", "HTML")
    form.add_route(name)


@pytest.mark.parametrize("ui", UIS)
def test_a_plan_of_now_is_made_by_leaving_its_time_empty(
    page: Page,
    served: Served,
    save_connection: Callable[..., None],
    picture: Callable[..., None],
    ui: str,
) -> None:
    save_connection("planned", port=25)
    page.goto(served.form_url(ui, served.deployment("plan-campaign")))
    form = CampaignForm(page, ui)
    fill_in(form, "planned")
    run_id = form.submit()
    state = served.run_when_final(run_id)["state"]
    assert state["message"].startswith("1,000 of 1,000 rows would be sent to")
    RunPage(page, served, run_id, ui).open_artifact("plan-planned")
    expect(page.get_by_text("there is no way to unsubscribe").first).to_be_visible()
    if ui == "v2":
        picture("plan", width=1300, height=1100)


@pytest.mark.parametrize("ui", UIS)
def test_a_copy_is_sent_to_the_address_that_is_filled_in(
    page: Page, served: Served, save_connection: Callable[..., None], ui: str
) -> None:
    with SmtpServer() as server:
        save_connection("tried", port=server.port)
        page.goto(served.form_url(ui, served.deployment("send-test")))
        form = CampaignForm(page, ui)
        fill_in(form, "tried")
        form.field("To").get_by_role("button", name="Add item").click()
        form.field("To").get_by_role("textbox").last.fill("me@example.org")
        state = served.run_when_final(form.submit())["state"]
        assert state["message"] == "1 of 1 copies accepted"
        assert list(server.recipients) == ["me@example.org"]


@pytest.mark.parametrize("ui", UIS)
def test_a_json_field_would_be_seen(page: Page, served: Served, ui: str) -> None:
    """The test above could not fail if the editors looked otherwise than it thinks."""
    flow = served.api.post("/flows/", json={"name": "open-object"}).json()
    schema = {"type": "object", "properties": {"anything": {"type": "object", "title": "It"}}}
    deployment = served.api.post(
        "/deployments/",
        json={"name": "default", "flow_id": flow["id"], "parameter_openapi_schema": schema},
    ).json()
    page.goto(served.form_url(ui, deployment["id"]))
    expect(page.locator(JSON_EDITOR[ui])).to_have_count(1)
