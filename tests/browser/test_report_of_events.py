"""An operator has the report of a campaign open, and events come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from playwright.sync_api import Page, expect
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.support.after_events import after_events
from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import DeliveryState, FailureKind, ProviderEvent
from mailsluice.message.identity import digests
from mailsluice.operations.events.matching import match
from mailsluice.store import Campaigns, Database, Outbox
from mailsluice.store.deliveries import Deliveries
from mailsluice.store.fates import Fates
from tests.browser.run_page import open_artifact
from tests.sending import Sending
from tests.serving import Served

HEADING = "Deliveries, as reported by the providers"


def test_the_open_report_fills_in_as_events_come(
    page: Page, served: Served, sending: Sending, picture: Callable[..., None]
) -> None:
    sending.connect()
    sending.start("delivered")
    served.run_when_final(sending.id)
    open_artifact(page, served, "v2", "campaign-delivered")
    expect(page.get_by_role("heading", name="delivered", exact=True).first).to_be_visible()
    expect(page.get_by_text(HEADING)).to_have_count(0)

    with Database(f"sqlite:///{served.state}") as database:
        record_events(database, "delivered")
        campaign_id = Campaigns(database).get("delivered").id

        def tell() -> None:
            with temporary_settings({PREFECT_API_URL: f"{served.url}/api"}):
                asyncio.run(after_events(database, {campaign_id}, logging.getLogger("events")))

        with ThreadPoolExecutor() as pool:  # this thread has the event loop of the browser
            pool.submit(tell).result()
        assert Outbox(database, campaign_id).counts().of(RecipientStatus.SENT) == 400
    open_artifact(page, served, "v2", "campaign-delivered")  # still the only one of its key
    heading = page.get_by_role("heading", name=HEADING)
    expect(heading).to_be_visible()
    table = page.locator("table").filter(has_text="unknown yet")
    expect(table.get_by_role("row").filter(has_text="all")).to_contain_text("400")
    note = page.get_by_text("Of the bounces, 20 blame the sender or the content.")
    expect(note).to_be_visible()
    picture("deliveries", table, note, width=1300)


def record_events(database: Database, campaign: str) -> None:
    """Record what a provider reports of the first 300 recipients; every fifteenth is blocked."""
    record = Campaigns(database).get(campaign)
    rows = [row for chunk in Fates(database, record.id).recipients() for row in chunk][:300]
    token = digests(record.name, record.return_key or "")
    at = database.moment().timestamp()
    for name in {row.connection for row in rows}:
        events = [
            ProviderEvent(
                f"{row.id}",
                DeliveryState.DELIVERED if number % 15 else DeliveryState.BOUNCED,
                at + number,
                token=f"{row.id}-{token(row.email)}",
                failure=None if number % 15 else FailureKind.BLOCK,
            )
            for number, row in enumerate(rows)
            if row.connection == name
        ]
        Deliveries(database).record(name, match(database, name, events))
