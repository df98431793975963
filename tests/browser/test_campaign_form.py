"""The form that operators fill in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.campaign_form import JSON_EDITOR, CampaignForm
from tests.browser.conftest import Served

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


def test_a_filled_form_starts_a_run_with_that_campaign(
    page: Page, served: Served, save_connection: Callable[..., None]
) -> None:
    for name in ("sendgrid", "sparkpost"):
        save_connection(name, port=2525)
    page.goto(served.form_url("v2"))
    form = CampaignForm(page)
    form.fill("spring-sale", "Name")
    form.fill("missing.csv", "Recipients", "File")
    form.fill("News <news@example.com>", "Message", "Sender")
    form.fill("Hi {{ first_name }}", "Message", "Subject")
    form.fill("<p>Hello</p>\n<p>{{ first_name }}</p>", "Message", "HTML")
    form.choose("percentage", "Strategy")
    form.add_route("sendgrid", "70")
    form.add_route("sparkpost", "30")
    form.fill("6000", "Throttle", "Per hour")
    run = served.run_when_final(form.submit())
    campaign = run["parameters"]["campaign"]
    assert campaign["message"]["html"] == "<p>Hello</p>\n<p>{{ first_name }}</p>"
    assert [one["percent"] for one in campaign["routes"]] == [70, 30]
    assert campaign["throttle"] == {"per_hour": 6000}
    assert run["state_type"] == "FAILED"
    assert "missing.csv" in run["state"]["message"]
