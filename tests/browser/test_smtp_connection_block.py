"""An operator makes a connection in the UI, corrects it, and retries the run that failed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from blocks import SMTPConnection
from tests.browser.block_form import BlockForm
from tests.browser.run_page import RunPage
from tests.eventually import eventually
from tests.saved_blocks import remove
from tests.sending import Sending
from tests.serving import Served
from tests.smtpd import Settings, SmtpServer


def fill_in(form: BlockForm, name: str, port: int, password: str) -> None:
    form.name(name)
    form.fill("127.0.0.1", "Host")
    form.fill(str(port), "Port")
    form.choose("none", "Security")
    form.fill("me", "Username")
    form.password(password)
    form.switch("Allow plain password")


def test_a_run_that_failed_over_a_wrong_password_is_finished_by_retry(
    page: Page, served: Served, sending: Sending, picture: Callable[..., None]
) -> None:
    with SmtpServer(Settings(users={"me": "right"})) as demanding:
        sending.servers = {"sendgrid": sending.servers["red"]}
        sending.connect()
        sending.servers["sparkpost"] = demanding
        remove(SMTPConnection, "sparkpost")
        form = BlockForm(page, served)
        expect(form.field("Timeout seconds")).to_be_visible()
        expect(form.field("Warm-up", "First day")).to_be_visible()
        limits = "Limits by mailbox provider"
        form.field(limits).get_by_role("button", name="Add item").click()
        form.fill("google", limits, "Provider")
        form.fill("2000", limits, "Per hour")
        secret = form.field("OAuth", "Client secret").locator("input")
        expect(secret).to_have_attribute("type", "password")
        key = form.field("Events API", "API key").locator("input")
        expect(key).to_have_attribute("type", "password")
        form.has_no_json_field()
        expect(form.field("Password").locator("input")).to_have_attribute("type", "password")
        fill_in(form, "sparkpost", demanding.port, "wrong-one")
        picture("connection", form.field("Host"), form.field("Timeout seconds"))
        block_id = form.save()
        expect(page.get_by_text("sparkpost").first).to_be_visible()
        assert "wrong-one" not in page.content()

        routes = [("sendgrid", 70), ("sparkpost", 30)]
        sending.start(
            "late-sale",
            throttle={},
            routes=[{"connection": name, "percent": part} for name, part in routes],
        )
        sending.until_state("Failed", "Completed", "Crashed")
        run = RunPage(page, served, sending.id)
        run.shows("Failed")
        assert {name: len(one.received) for name, one in sending.servers.items()} == {
            "sendgrid": 280,
            "sparkpost": 0,
        }
        expect(run.open_tab("Details")).to_contain_text(
            "280 of 400 sent, 120 pending; sparkpost is down: login: 535"
        )
        picture("run-failed", width=1100, height=1000)

        form = BlockForm(page, served, block_id)  # and corrects it
        form.password("right")
        form.save()
        run = RunPage(page, served, sending.id)
        run.shows("Failed")
        run.retry()
        sending.until_state("Completed", "Crashed")
        RunPage(page, served, sending.id).shows("Completed")
        assert len(demanding.received) == 120
    sending.everybody_got_it_once()


@pytest.mark.parametrize(
    ("ui", "said"), [("v1", "Host is required"), ("v2", "error while creating block")]
)
def test_a_connection_without_a_host_is_not_saved(
    page: Page, served: Served, ui: str, said: str
) -> None:
    """The newer UI asks the server, which refuses, and does not show its words."""
    form = BlockForm(page, served, ui=ui)
    form.name(f"nowhere-{ui}")
    page.get_by_role("button", name={"v1": "Create"}.get(ui, "Save")).click()
    expect(page.get_by_text(said)).to_be_visible()
    place = f"/block_types/slug/smtp-connection/block_documents/name/nowhere-{ui}"
    assert served.api.get(place).status_code == 404


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "this SMTP Connection is not saved: host: this is missing: fill it in"),
        (
            {"host": "smtp.example.com:25"},
            "for example smtp.example.com, and put the port in its own field",
        ),
    ],
)
def test_the_server_says_why_it_does_not_store_a_connection(
    served: Served, save_connection: Callable[..., None], data: dict[str, Any], said: str
) -> None:
    save_connection("stored")
    place = "/block_types/slug/smtp-connection/block_documents/name/stored"
    known = served.api.get(place).raise_for_status().json()
    kind = {one: known[one] for one in ("block_schema_id", "block_type_id")}
    new = served.api.post("/block_documents/", json={**kind, "name": "new-one", "data": data})
    assert new.status_code == 400
    assert said in new.json()["detail"]
    printed = served.state.parents[1] / "serve.log"  # the newer UI does not show the reply
    eventually(printed.read_text, lambda text: said in text, what="the reason is printed")
    changes = {"data": data, "merge_existing_data": False}
    changed = served.api.patch(f"/block_documents/{known['id']}", json=changes)
    assert changed.status_code == 400
    assert served.api.get(place).json()["data"] == known["data"]
    merged = {"data": {"port": 26}, "merge_existing_data": True}
    served.api.patch(f"/block_documents/{known['id']}", json=merged).raise_for_status()
    assert served.api.get(place).json()["data"]["port"] == 26


def test_what_is_changed_in_the_form_is_kept_and_secrets_stay(
    page: Page, served: Served, save_connection: Callable[..., None]
) -> None:
    oauth = {
        "client_id": "mailsluice",
        "client_secret": "secret-of-the-client",
        "refresh_token": "given-by-the-provider",
        "token_url": "https://login.example.com/token",
        "scope": "mail",
    }
    save_connection("gmail", security="starttls", username="mailbox", oauth=oauth)

    def stored(**query: Any) -> dict[str, Any]:
        place = "/block_types/slug/smtp-connection/block_documents/name/gmail"
        return dict(served.api.get(place, params=query).raise_for_status().json())

    form = BlockForm(page, served, stored()["id"])
    form.fill("7", "Max sessions")
    form.fill("another", "OAuth", "Client ID")
    form.fill("100", "Warm-up", "First day")
    for label, month in (("Start", "Jan"), ("Until", "Mar")):
        pick_the_15th(page, form, label, month)
    form.fill("News <news@a.example.com>", "Identity", "Sender")
    form.choose("sendgrid", "Identity", "Provider")
    form.save()
    data = stored(include_secrets=True)["data"]
    assert data["max_sessions"] == 7
    assert data["oauth"] == {**oauth, "client_id": "another"}
    assert "given-by-the-provider" not in page.content()
    days = [date.fromisoformat(data["warm_up"][name]) for name in ("start", "until")]
    assert [(day.month, day.day) for day in days] == [(1, 15), (3, 15)]
    assert data["warm_up"]["first_day"] == 100
    identity = SMTPConnection(**data).identity
    assert identity.given() == {"sender": "News <news@a.example.com>", "provider": "sendgrid"}


def pick_the_15th(page: Page, form: BlockForm, label: str, month: str) -> None:
    form.field("Warm-up", label).get_by_text("Pick a date").click()
    calendar = page.get_by_role("dialog")
    calendar.get_by_label("Choose the Month").select_option(month)
    calendar.get_by_role("gridcell").get_by_text("15", exact=True).click()
    page.keyboard.press("Escape")
    expect(calendar).to_have_count(0)
