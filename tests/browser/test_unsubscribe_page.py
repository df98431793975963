"""A reader opens the unsubscribe link of a mail in a browser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from mailsluice.message.unsubscribing import unsubscribe_tokens
from mailsluice.operations.events.app import EventsApp
from mailsluice.operations.events.sources import EventSource
from mailsluice.store import Database, Suppressions
from tests.integration.events.sent_campaign import SentCampaign
from tests.integration.events.test_app import running


async def no_sources() -> Mapping[str, EventSource]:
    return {}


def test_a_reader_unsubscribes_with_the_keyboard(context: BrowserContext, tmp_path: Path) -> None:
    with Database(f"sqlite:///{tmp_path / 'state.db'}") as database:
        sent = SentCampaign(database, ["ann", "bob"])
        token = unsubscribe_tokens(sent.key)(sent.ids["ann@example.com"])
        suppressions = Suppressions(database)
        with running(EventsApp(database, no_sources)) as app, context.new_page() as page:
            loaded: list[str] = []
            page.on("request", lambda request: loaded.append(request.url))
            page.goto(f"{app.url}/unsubscribe/{token}")
            expect(page.get_by_role("heading", name="Unsubscribe")).to_be_visible()
            expect(page.get_by_text("no more mail from example.org?")).to_be_visible()
            button = page.get_by_role("button", name="Unsubscribe")
            # The page's own policy lets its style through, and nothing else is loaded.
            assert button.evaluate("button => getComputedStyle(button).paddingLeft") == "19.2px"
            assert suppressions.count() == 0
            button.focus()
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
            assert suppressions.totals() == {"unsubscribed": 1}
            assert {url for url in loaded if not url.endswith("favicon.ico")} == {page.url}
            page.goto(f"{app.url}/unsubscribe/{token[:-1]}")
            expect(page.get_by_role("heading", name="This link does not work")).to_be_visible()
