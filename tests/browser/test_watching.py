"""What an operator sees of a campaign while it is sent, without a shell."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.run_page import RunPage
from tests.eventually import eventually
from tests.sending import Sending
from tests.serving import Served


def keys(served: Served) -> set[str]:
    """Of all artifacts."""
    found = served.api.post("/artifacts/filter", json={}).raise_for_status().json()
    return {one["key"] for one in found}


def test_a_running_campaign_shows_how_far_it_is_and_what_holds_it(
    page: Page, served: Served, sending: Sending, picture: Callable[..., None]
) -> None:
    sending.start("winter-sale", throttle={"per_minute": 60})
    eventually(lambda: keys(served), lambda found: "progress-winter-sale" in found)
    RunPage(page, served, sending.id).open_artifact("progress-winter-sale")
    shown = page.locator("main")
    expect(shown.get_by_test_id("progress-display")).to_contain_text("Progress: ")
    for words in (
        r"of 400 sent",
        r"red, held by (red's share of )?the campaign's per_minute (42|60): .* of 280 sent",
        r"green, held by (green's share of )?the campaign's per_minute (18|60): .* of 120 sent",
    ):
        expect(shown).to_contain_text(re.compile(words))
    picture("progress", width=1300, height=500)
    run = RunPage(page, served, sending.id)
    run.cancel()
    sending.until_quiet()
