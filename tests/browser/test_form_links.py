"""From a plan to the campaign to its report, without filling the form in again, in both UIs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.campaign_form import CampaignForm
from tests.serving import Served
from tests.smtpd import SmtpServer

HTML = '<p class="a">Hällo {{ first_name }} & all | (#1)</p>'


def document(name: str, connection: str) -> dict[str, Any]:
    return {
        "name": name,
        "recipients": {"path": "examples/recipients.csv"},
        "message": {"sender": "News <news@example.com>", "subject": "Hi", "html": HTML},
        "strategy": "percentage",
        "routes": [{"connection": connection, "percent": 100}],
        "throttle": {"per_minute": 60_000},
    }


def open_artifact(page: Page, served: Served, ui: str, key: str) -> None:
    asked = {"artifacts": {"key": {"any_": [key]}}}
    (found,) = served.api.post("/artifacts/filter", json=asked).raise_for_status().json()
    page.goto(f"{served.ui_url(ui)}/artifacts/artifact/{found['id']}")


def follow(page: Page, ui: str, label: str) -> CampaignForm:
    """The form that a link of the page opens, in this page rather than in one of its own."""
    link = page.get_by_role("link", name=label)
    expect(link).to_be_visible()
    link.evaluate("link => { link.removeAttribute('target'); link.click() }")
    page.wait_for_url("**/run?parameters=*")
    return CampaignForm(page, ui)


def is_filled_in(form: CampaignForm, name: str, connection: str) -> None:
    expect(form.field("Name").get_by_role("textbox").first).to_have_value(name)
    expect(form.field("Message", "HTML").get_by_role("textbox")).to_have_value(HTML)
    expect(form.field("Routes")).to_contain_text(connection)
    throttle = form.field("Throttle", "Per minute")
    expect(throttle.get_by_role("spinbutton").or_(throttle.get_by_role("textbox"))).to_have_value(
        re.compile("60,?000")
    )


@pytest.mark.parametrize("ui", ["v2", "v1"])
def test_a_plan_leads_to_the_campaign_and_that_to_the_next_one(
    page: Page,
    served: Served,
    save_connection: Callable[..., None],
    picture: Callable[..., None],
    ui: str,
) -> None:
    name, connection = f"linked-{ui}", f"linked-{ui}"
    with SmtpServer() as server:
        save_connection(connection, port=server.port)
        parameters = {"campaign": document(name, connection)}
        path = f"/deployments/{served.deployment('plan-campaign')}/create_flow_run"
        run = served.api.post(path, json={"parameters": parameters}).raise_for_status().json()
        assert served.run_when_final(run["id"])["state"]["type"] == "COMPLETED"

        open_artifact(page, served, ui, f"plan-{name}")
        picture(f"form-links-{ui}", width=1300, height=900)
        form = follow(page, ui, "Send this campaign")
        is_filled_in(form, name, connection)
        picture(f"form-filled-{ui}", width=1300, height=1600)
        sent = served.run_when_final(form.submit())
        assert sent["state"]["message"] == "1,000 of 1,000 sent"
    assert len(server.received) == 1_000

    open_artifact(page, served, ui, f"campaign-{name}")
    form = follow(page, ui, "Plan one like it")
    is_filled_in(form, name, connection)
    open_artifact(page, served, ui, f"campaign-{name}")
    is_filled_in(follow(page, ui, "Send copies of its message"), name, connection)
