"""An operator makes a mailbox in the UI, and has it read."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests import returned_mail as mails
from tests.browser.block_form import BlockForm
from tests.browser.campaign_form import CampaignForm
from tests.browser.run_page import RunPage
from tests.integration.dovecot import PASSWORD, USERNAME, dovecot
from tests.integration.smtp_fixtures import Certificates
from tests.serving import Served
from tests.thorough import in_thorough_runs


@in_thorough_runs("a block and a run like others, and tests/flows reads the mail")
def test_a_mailbox_made_in_the_ui_is_read(page: Page, served: Served, tmp_path: Path) -> None:
    with dovecot(Certificates.make(tmp_path)) as server:
        server.put(mails.report(mails.Sent()))
        mailbox = server.mailbox()
        block = BlockForm(page, served, kind="mailbox")
        expect(block.field("Processed folder")).to_be_visible()
        block.has_no_json_field()
        block.name("bounces")
        block.fill(mailbox.host, "Host")
        block.fill(str(mailbox.port), "Port")
        block.fill(USERNAME, "Username")
        block.field("Password").locator("input").fill(PASSWORD)
        block.fill(server.ca_file, "CA file")
        block.save()

        form = CampaignForm.of(page, served, flow="collect-bounces")
        form.choose("bounces", "Mailbox")
        expect(form.field("Limit")).to_be_visible()
        form.has_no_json_field()
        run_id = form.submit()
        run = served.run_when_final(run_id)
        assert run["state"]["message"] == "1 read: 1 not ours; 0 newly suppressed"
        RunPage(page, served, run_id).shows("Completed")
        assert server.count("INBOX", "FLAGGED") == 1
