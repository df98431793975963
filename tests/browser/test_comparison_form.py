"""The form of compare-connections."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.campaign_form import CampaignForm
from tests.browser.schema_form import JSON_EDITOR
from tests.serving import Served, until


@pytest.mark.parametrize("ui", ["v1", "v2"])
def test_campaigns_are_named_one_by_one_without_json(page: Page, served: Served, ui: str) -> None:
    path = "/deployments/name/compare-connections/default"
    found = until(lambda: served.api.get(path), lambda reply: reply.status_code == 200)
    page.goto(served.form_url(ui, found.json()["id"]))
    form = CampaignForm(page, ui)
    for label in ("Connections", "Confidence", "Smallest difference, in points"):
        expect(form.field(label)).to_be_visible()
    form.field("Campaigns").get_by_role("button", name="Add item").click()
    expect(form.field("Campaigns").get_by_role("textbox").first).to_be_visible()
    expect(page.locator(JSON_EDITOR[ui])).to_have_count(0)
