"""Pause, Resume, Cancel and Retry, pressed in the UI, do what they say to a running campaign."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.run_page import RunPage
from tests.sending import RECIPIENTS, Sending
from tests.serving import Served

SLOW = {"per_second": 60}
"""Seven seconds for all: time enough for a person to press a button."""


def test_pause_stops_the_mail_and_resume_sends_the_rest_to_everybody_once(
    page: Page, served: Served, sending: Sending, picture: Callable[..., None]
) -> None:
    sending.start("autumn-sale", throttle=SLOW)
    run = RunPage(page, served, sending.id)
    sending.wait_for(60)
    run.suspend()
    sending.until_quiet()
    assert 60 <= sending.total() < RECIPIENTS
    run.shows("Suspended")
    run.shows_subflows(sending.name, sending.servers, "Suspended")
    picture("run-suspended", width=1100, height=900)
    run.resume()
    sending.until_state("Completed")
    run.shows("Completed")
    sending.everybody_got_it_once()
    run = RunPage(page, served, sending.id)
    run.shows_subflows(sending.name, sending.servers, "Completed")


def test_cancel_ends_the_campaign(page: Page, served: Served, sending: Sending) -> None:
    sending.start(throttle=SLOW)
    run = RunPage(page, served, sending.id)
    sending.wait_for(60)
    run.cancel()
    sending.until_quiet()
    run.shows("Cancelled")
    rows = sending.rows()
    assert rows == {"sent": sending.total(), "cancelled": RECIPIENTS - sending.total()}
    assert rows["cancelled"] > 0
    run.page.get_by_role("button", name="Open menu").click()
    expect(run.page.get_by_role("menuitem", name="Resume")).to_have_count(0)
