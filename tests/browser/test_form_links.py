"""From a plan to a test and to the campaign without filling the form in again, in both UIs.

A link is followed, in the newer UI to a test and in the older one to the campaign; the form that it
opens is submitted, and the server has the same campaign as the plan had. The links of reports and
tests are made by the same code (`tests/flows/test_report`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.campaign_form import CampaignForm
from tests.browser.run_page import open_artifact
from tests.serving import Served

HTML = '<p class="a">Hällo {{ first_name }} & all | (#1)</p><img src="http://example.com/a.png">'
CAMPAIGN: dict[str, Any] = {
    "name": "planned",
    "recipients": {"path": "examples/recipients.csv"},
    "message": {"sender": "News <news@example.com>", "subject": "Hi", "html": HTML},
    "strategy": "percentage",
    "routes": [{"connection": "sendgrid", "percent": 100}],
    "throttle": {"per_minute": 60_000},
}


def follow(page: Page, ui: str, label: str) -> CampaignForm:
    """The form that a link of the page opens, in this page rather than in one of its own."""
    link = page.get_by_role("link", name=label)
    expect(link).to_be_visible()
    link.evaluate("link => { link.removeAttribute('target'); link.click() }")
    page.wait_for_url("**/run?parameters=*")
    return CampaignForm(page, ui)


def is_filled_in(form: CampaignForm) -> None:
    expect(form.field("Name").get_by_role("textbox").first).to_have_value("planned")
    expect(form.field("Message", "HTML").get_by_role("textbox")).to_have_value(HTML)
    expect(form.field("Routes")).to_contain_text("sendgrid")


def is_the_planned_one(campaign: dict[str, Any]) -> None:
    (route,) = campaign["routes"]
    assert set(route.pop("connection")) == {"$ref"}
    assert route.items() >= {"percent": 100}.items()
    for name in ("name", "strategy", "throttle"):
        assert campaign[name] == CAMPAIGN[name]
    for name in ("recipients", "message"):  # and what was left out, as it is by default
        assert campaign[name].items() >= CAMPAIGN[name].items()


def test_a_plan_leads_to_a_test_and_to_the_campaign(
    page: Page,
    served: Served,
    save_connection: Callable[..., None],
    picture: Callable[..., None],
) -> None:
    save_connection("sendgrid")
    path = f"/deployments/{served.deployment('plan-campaign')}/create_flow_run"
    run = served.api.post(path, json={"parameters": {"campaign": CAMPAIGN}}).raise_for_status()
    state = served.run_when_final(run.json()["id"])["state"]
    assert state["message"].startswith("1,000 of 1,000 rows would be sent to")

    open_artifact(page, served, "v2", "plan-planned")
    expect(page.get_by_text("there is no way to unsubscribe").first).to_be_visible()
    picture("plan", width=1300, height=1100)
    form = follow(page, "v2", "Send copies to yourself")
    is_filled_in(form)
    form.add_item("me@example.org", "To")
    parameters = form.submit_for_later()
    assert parameters["to"] == ["me@example.org"]
    is_the_planned_one(parameters["campaign"])
    open_artifact(page, served, "v1", "plan-planned")
    form = follow(page, "v1", "Send this campaign")
    is_filled_in(form)
    is_the_planned_one(form.submit_for_later()["campaign"])
