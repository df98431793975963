"""A running campaign: how far it is, Suspend and Resume in the older UI, Cancel in the newer one.

The newer UI's Pause, Resume and Retry are pressed in `test_whole_way` and
`test_smtp_connection_block`; what becomes of the mail is tested in `tests/served`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.leaving import until_no_run_sends
from tests.browser.run_page import RunPage
from tests.eventually import eventually
from tests.sending import RECIPIENTS, Sending
from tests.serving import Served

SLOW = {"per_minute": 60}
"""Minutes for all: time enough for a person to press a button."""


def progress(served: Served, key: str) -> str:
    """The text of an artifact; empty as long as there is none."""
    found = served.api.get(f"/artifacts/{key}/latest")
    return str(found.json().get("description")) if found.is_success else ""


def names_limits(words: str) -> bool:
    """Whether the progress says that the campaign's limit holds both connections."""
    limits = (("sendgrid", "42|60"), ("sparkpost", "18|60"))
    held = r"{0}, \**held by ({0}'s share of )?the campaign's per_minute ({1})\b"
    return all(re.search(held.format(name, rates), words) for name, rates in limits)


def test_a_campaign_is_watched_suspended_resumed_and_cancelled(
    page: Page, served: Served, sending: Sending, picture: Callable[..., None]
) -> None:
    sending.servers = {"sendgrid": sending.servers["red"], "sparkpost": sending.servers["green"]}
    sending.connect()
    routes = [{"connection": "sendgrid", "percent": 70}, {"connection": "sparkpost", "percent": 30}]
    sending.start("winter-sale", throttle=SLOW, routes=routes)
    sending.wait_for(1)
    eventually(lambda: progress(served, "progress-winter-sale"), names_limits)
    RunPage(page, served, sending.id).open_artifact("progress-winter-sale")
    shows_progress(page)
    picture("progress", width=1300, height=500)

    run = RunPage(page, served, sending.id, "v1")
    run.suspend()
    run.shows("Suspended")
    until_no_run_sends(served, sending.name)
    before = sending.total()
    run.resume()
    sending.wait_for(before + 1)

    run = RunPage(page, served, sending.id)
    run.cancel()
    run.shows("Cancelled")
    assert sending.total() < RECIPIENTS
    page.get_by_role("button", name="Open menu").click()
    expect(page.get_by_role("menuitem", name="Resume")).to_have_count(0)


def shows_progress(page: Page) -> None:
    shown = page.locator("main")
    expect(shown.get_by_test_id("progress-display")).to_contain_text("Progress: ")
    expect(shown).to_contain_text("of 400 sent")
    for name, assigned in (("sendgrid", 280), ("sparkpost", 120)):
        expect(shown).to_contain_text(re.compile(rf"{name}, .*: \d+ of {assigned} sent"))
