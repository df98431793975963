"""The forms that operators fill in. Both UIs build them from the same schema, by code of their own.

`make test` fills in the form of a campaign in the newer UI; `test_whole_way` does in the older one,
for a schedule. `make thorough` fills in all forms in both.

Each form is submitted with a start in many years: what is filled in comes to the server as the
flow wants it, and the server takes it. What the flows do with that is tested by calling them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.campaign_form import CampaignForm
from tests.browser.schema_form import JSON_EDITOR
from tests.serving import Served
from tests.thorough import in_thorough_runs, some

UIS = ["v2", "v1"]
by_ui = pytest.mark.parametrize("ui", some(UIS, every=2))
built_alike = in_thorough_runs("built like the form of a campaign")
HTML = "<p>Hello</p>\n<p>{{ first_name }}</p>"
PICTURES = {
    "v1": [("campaign-form-v1", "Strategy", "Throttle")],
    "v2": [
        ("campaign-form-recipients", "Name", "Recipients"),
        ("campaign-form-message", "Message", "Message"),
        ("campaign-form", "Strategy", "Throttle"),
    ],
}


pytestmark = pytest.mark.usefixtures("connections")


def is_as_filled_in(campaign: dict[str, Any], name: str) -> None:
    assert campaign["name"] == name
    assert campaign["recipients"]["path"] == "examples/recipients.csv"
    message = campaign["message"]
    assert (message["sender"], message["subject"]) == (
        "News <news@example.com>",
        "Hi {{ first_name }}",
    )
    assert message["html"] == HTML


@pytest.mark.thorough
@by_ui
def test_a_campaign_over_two_connections(
    page: Page, served: Served, picture: Callable[..., None], ui: str
) -> None:
    form = CampaignForm.of(page, served, ui)
    expect(form.field("When a connection is down")).to_be_visible()
    form.fill_in("spring-sale", HTML)
    form.choose("percentage", "Strategy")
    form.add_route("sendgrid", "70")
    form.add_route("sparkpost", "30")
    form.fill("30000", "Throttle", "Per minute")
    form.has_no_json_field()
    for name, first, last in PICTURES[ui]:
        picture(name, first=form.field(first), last=form.field(last))
    campaign = form.submit_for_later()["campaign"]
    is_as_filled_in(campaign, "spring-sale")
    assert campaign["strategy"] == "percentage"
    assert [route["percent"] for route in campaign["routes"]] == [70, 30]
    assert [set(route["connection"]) for route in campaign["routes"]] == [{"$ref"}] * 2
    assert campaign["throttle"] == {"per_minute": 30_000}


@built_alike
@by_ui
def test_mailbox_providers_are_looked_up_limited_and_judged_by_a_canary(
    page: Page, served: Served, picture: Callable[..., None], ui: str
) -> None:
    form = CampaignForm.of(page, served, ui)
    form.fill_in("careful-sale", HTML)
    form.add_route("sendgrid")
    form.choose("mx", "Look up mail servers")
    form.field("Limits by mailbox provider").get_by_role("button", name="Add item").click()
    form.fill("google", "Limits by mailbox provider", "Provider")
    form.fill("2000", "Limits by mailbox provider", "Per hour")
    form.fill("1", "Canary", "Percent")
    form.choose("operator", "Canary", "Approve")
    form.fill("5", "Stop-loss", "Bounce percent")
    form.has_no_json_field()
    picture(f"providers-form-{ui}", first=form.field("Throttle"), last=form.field("Stop-loss"))
    campaign = form.submit_for_later()["campaign"]
    assert campaign["resolve"] == "mx"
    assert campaign["per_provider"] == [{"provider": "google", "per_hour": 2_000}]
    assert campaign["canary"]["percent"] == 1
    assert campaign["canary"]["approve"] == "operator"
    assert campaign["stop_loss"] == {"bounce_percent": 5}


@built_alike
@by_ui
def test_a_plan_of_now_leaves_its_time_empty(page: Page, served: Served, ui: str) -> None:
    form = CampaignForm.of(page, served, ui, "plan-campaign")
    expect(form.field("Sending window", "Time zone")).to_be_visible()
    expect(form.field("Starts at")).to_be_visible()
    form.fill_in("planned", HTML)
    form.add_route("sendgrid")
    expect(form.field("Routes", "Grows from")).to_be_visible()
    form.has_no_json_field()
    parameters = form.submit_for_later()
    assert not parameters.get("starts_at")
    is_as_filled_in(parameters["campaign"], "planned")


@built_alike
@by_ui
def test_a_test_names_the_addresses_of_its_copies(page: Page, served: Served, ui: str) -> None:
    form = CampaignForm.of(page, served, ui, "send-test")
    form.fill_in("tried", HTML)
    form.add_route("sendgrid")
    form.add_item("me@example.org", "To")
    form.add_item("me@example.net", "To")
    exclude = form.field("Exclude")
    exclude.get_by_text("Several sources", exact=True).click()
    for number, path in enumerate(("customers.csv", "staff.csv")):
        exclude.get_by_role("button", name="Add item").last.click()
        form.fill(path, "Exclude", "File", nth=number)
    form.has_no_json_field()
    parameters = form.submit_for_later()
    assert parameters["to"] == ["me@example.org", "me@example.net"]
    excluded = [source["path"] for source in parameters["campaign"]["exclude"]]
    assert excluded == ["customers.csv", "staff.csv"]
    is_as_filled_in(parameters["campaign"], "tried")


@built_alike
@by_ui
def test_a_connection_is_verified_with_a_test_mail(page: Page, served: Served, ui: str) -> None:
    form = CampaignForm.of(page, served, ui, "verify-connection")
    form.choose("sendgrid", "Connection")
    form.fill("News <news@example.com>", "Test mail", "Sender")
    form.fill("box@example.com", "Test mail", "Recipient")
    form.has_no_json_field()
    parameters = form.submit_for_later()
    assert set(parameters["connection"]) == {"$ref"}
    mail = {"sender": "News <news@example.com>", "recipient": "box@example.com"}
    assert parameters["test_mail"] == mail


@built_alike
@by_ui
def test_campaigns_to_compare_are_named_one_by_one(page: Page, served: Served, ui: str) -> None:
    form = CampaignForm.of(page, served, ui, "compare-connections")
    for label in ("Connections", "Confidence", "Smallest difference, in points"):
        expect(form.field(label)).to_be_visible()
    form.add_item("spring-sale", "Campaigns")
    form.has_no_json_field()
    assert form.submit_for_later()["campaigns"] == ["spring-sale"]


@built_alike
@by_ui
def test_providers_to_ask_are_named_or_left_out(page: Page, served: Served, ui: str) -> None:
    form = CampaignForm.of(page, served, ui, "collect-events")
    expect(form.field("Pages of a connection")).to_be_visible()
    form.add_item("relay", "Connections")
    form.has_no_json_field()
    assert form.submit_for_later() == {"connections": ["relay"], "pages": 1_000}


@built_alike
def test_a_mailbox_to_read_is_picked_in_the_older_ui(page: Page, served: Served) -> None:
    """In the newer one as well, where the mailbox is read: `test_collect_bounces`."""
    form = CampaignForm.of(page, served, "v1", "collect-bounces")
    expect(form.field("Mailbox")).to_be_visible()
    expect(form.field("Limit")).to_be_visible()
    form.has_no_json_field()


@pytest.mark.thorough
@by_ui
def test_a_json_field_would_be_seen(page: Page, served: Served, ui: str) -> None:
    """The tests above could not fail if the editors looked otherwise than they think."""
    flow = served.api.post("/flows/", json={"name": "open-object"}).json()
    schema = {"type": "object", "properties": {"anything": {"type": "object", "title": "It"}}}
    deployment = served.api.post(
        "/deployments/",
        json={"name": "default", "flow_id": flow["id"], "parameter_openapi_schema": schema},
    ).json()
    page.goto(served.form_url(ui, deployment["id"]))
    expect(page.locator(JSON_EDITOR[ui])).to_have_count(1)
