"""The form of compare-connections."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.campaign_form import CampaignForm
from tests.browser.run_page import RunPage
from tests.browser.schema_form import JSON_EDITOR
from tests.sending import Sending
from tests.serving import Served


@pytest.mark.parametrize("ui", ["v1", "v2"])
def test_campaigns_are_named_one_by_one_without_json(page: Page, served: Served, ui: str) -> None:
    page.goto(served.form_url(ui, served.deployment("compare-connections")))
    form = CampaignForm(page, ui)
    for label in ("Connections", "Confidence", "Smallest difference, in points"):
        expect(form.field(label)).to_be_visible()
    form.field("Campaigns").get_by_role("button", name="Add item").click()
    expect(form.field("Campaigns").get_by_role("textbox").first).to_be_visible()
    expect(page.locator(JSON_EDITOR[ui])).to_have_count(0)


def test_the_connections_of_a_campaign_are_compared_with_a_picture(
    page: Page, served: Served, sending: Sending, picture: Callable[..., None]
) -> None:
    sending.start("comparable", throttle={})
    served.run_when_final(sending.id)
    page.goto(served.form_url("v2", served.deployment("compare-connections")))
    form = CampaignForm(page)
    form.field("Campaigns").get_by_role("button", name="Add item").click()
    form.field("Campaigns").get_by_role("textbox").first.fill("comparable")
    run_id = form.submit()
    assert served.run_when_final(run_id)["state"]["type"] == "COMPLETED"
    shown = RunPage(page, served, run_id)
    shown.open_artifact("comparison-comparable")
    expect(page.get_by_text("red").first).to_be_visible()
    shown.shows_pictures(1)
    picture("comparison", width=1300, height=1100)
