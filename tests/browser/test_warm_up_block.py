"""An operator gives a connection its warm-up in the UI."""

from __future__ import annotations

from datetime import date

from playwright.sync_api import Page, expect

from blocks import SMTPConnection
from tests.browser.block_form import BlockForm
from tests.serving import Served


def test_the_days_that_are_picked_are_those_that_are_kept(page: Page, served: Served) -> None:
    form = BlockForm(page, served)
    form.name("warming")
    form.fill("smtp.example.com", "Host")
    form.fill("100", "Warm-up", "First day")
    for label, month in (("Start", "Jan"), ("Until", "Mar")):
        form.field("Warm-up", label).get_by_text("Pick a date").click()
        calendar = page.get_by_role("dialog")
        calendar.get_by_label("Choose the Month").select_option(month)
        calendar.get_by_role("gridcell").get_by_text("15", exact=True).click()
        page.keyboard.press("Escape")
        expect(calendar).to_have_count(0)
    block_id = form.save()
    kept = served.api.get(f"/block_documents/{block_id}").json()["data"]["warm_up"]
    days = [date.fromisoformat(kept[name]) for name in ("start", "until")]
    assert [(one.month, one.day) for one in days] == [(1, 15), (3, 15)]
    assert kept["first_day"] == 100
    assert SMTPConnection(host="smtp.example.com", warm_up=kept)
