"""An operator fills a campaign in, starts it, and reads the report."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.campaign_form import CampaignForm
from tests.browser.run_page import RunPage
from tests.serving import Served
from tests.smtpd import SmtpServer

EXAMPLE = "examples/recipients.csv"
PICTURES = {
    "v1": [("campaign-form-v1", "Strategy", "Throttle")],
    "v2": [
        ("campaign-form-recipients", "Name", "Recipients"),
        ("campaign-form-message", "Message", "Message"),
        ("campaign-form", "Strategy", "Throttle"),
    ],
}
NAMES = {"v1": "summer-sale", "v2": "spring-sale"}


def fill_in(form: CampaignForm, name: str) -> None:
    form.fill(name, "Name")
    form.fill(EXAMPLE, "Recipients", "File")
    form.fill("News <news@example.com>", "Message", "Sender")
    form.fill("Hi {{ first_name }}", "Message", "Subject")
    form.fill("<p>Hello</p>\n<p>{{ first_name }}</p>", "Message", "HTML")
    form.choose("percentage", "Strategy")
    form.add_route("sendgrid", "70")
    form.add_route("sparkpost", "30")
    form.fill("30000", "Throttle", "Per minute")


def report_id(served: Served, campaign: str) -> str:
    asked = {"artifacts": {"key": {"any_": [f"campaign-{campaign}"]}}}
    (found,) = served.api.post("/artifacts/filter", json=asked).raise_for_status().json()
    return str(found["id"])


def shows_report(page: Page) -> None:
    """The numbers, and pictures that are really drawn, as wide as they were made."""
    table = page.get_by_role("table").first
    expect(table.get_by_role("row").nth(1)).to_contain_text("sendgrid70070.00%700")
    expect(table.get_by_role("row").nth(2)).to_contain_text("sparkpost30030.00%300")
    drawn = page.locator("img[src^='data:image/png']")
    expect(drawn).to_have_count(3)
    assert drawn.evaluate_all("all => all.map(one => one.naturalWidth)") == [770] * 3


@pytest.mark.parametrize("ui", ["v2", "v1"])
def test_a_campaign_filled_in_goes_out_in_exact_shares_and_has_its_report(
    page: Page,
    served: Served,
    save_connection: Callable[..., None],
    picture: Callable[..., None],
    ui: str,
) -> None:
    with SmtpServer() as sendgrid, SmtpServer() as sparkpost:
        save_connection("sendgrid", port=sendgrid.port)
        save_connection("sparkpost", port=sparkpost.port)
        page.goto(served.form_url(ui))
        form = CampaignForm(page, ui)
        fill_in(form, NAMES[ui])
        for name, first, last in PICTURES[ui]:
            picture(name, first=form.field(first), last=form.field(last))
        run_id = form.submit()
        run = served.run_when_final(run_id)
    assert run["state"]["message"] == "1,000 of 1,000 sent"
    assert run["parameters"]["campaign"]["throttle"] == {"per_minute": 30_000}
    assert len(sendgrid.received) == len(sendgrid.recipients) == 700
    assert len(sparkpost.received) == len(sparkpost.recipients) == 300
    assert not sendgrid.recipients.keys() & sparkpost.recipients.keys()

    if ui == "v1":
        page.goto(f"{served.url}/artifacts/artifact/{report_id(served, NAMES[ui])}")
        shows_report(page)
        return
    shown = RunPage(page, served, run_id)
    shown.shows("Completed")
    shown.shows_subflows(NAMES[ui], ["sendgrid", "sparkpost"], "Completed")
    picture("run", width=1100, height=900)
    shown.open_artifact(f"campaign-{NAMES[ui]}")
    shows_report(page)
    first = page.get_by_role("heading", name="Connections")  # not the file's path, above it
    picture("report", first=first, last=page.get_by_role("img", name="Outcomes"), width=1300)
