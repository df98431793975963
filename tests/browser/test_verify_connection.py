"""verify-connection as an operator runs it: a picker and a box, with and without a test mail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.campaign_form import CampaignForm
from tests.browser.schema_form import JSON_EDITOR
from tests.serving import Served
from tests.smtpd import SmtpServer


@pytest.mark.parametrize("ui", ["v1", "v2"])
def test_a_connection_is_verified_from_its_form(
    page: Page, served: Served, save_connection: Callable[..., None], ui: str
) -> None:
    url = served.form_url(ui, served.deployment("verify-connection"))
    with SmtpServer() as server:
        save_connection("checked", port=server.port)
        for recipient in ("", "box@example.com"):
            page.goto(url)
            form = CampaignForm(page, ui)
            form.choose("checked", "Connection")
            expect(page.locator(JSON_EDITOR[ui])).to_have_count(0)
            if recipient:
                form.fill("News <news@example.com>", "Test mail", "Sender")
                form.fill(recipient, "Test mail", "Recipient")
            run = served.run_when_final(form.submit())
            assert run["state_type"] == "COMPLETED", run["state"]["message"]
            assert run["name"] == "verify checked"
            assert [one.recipient for one in server.received] == [recipient][: bool(recipient)]
