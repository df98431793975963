"""`make serve SERVE='--login'`: both UIs ask for the login, once for the two of them.

What the server refuses without it, and that runs have it, is tested in `tests/served/test_login`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from deployments.server import free_port, prefect_server

LOGIN = "mailsluice:made-by-the-test"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """The address of a server that asks for a login."""
    url = f"http://127.0.0.1:{free_port()}"
    environment = {"PREFECT_HOME": str(tmp_path), "PREFECT_SERVER_API_AUTH_STRING": LOGIN}
    with prefect_server(f"{url}/api", environment):
        yield url


def log_in(page: Page, login: str) -> None:
    box = page.get_by_role("main").or_(page.locator("body")).locator("input").first
    box.fill(login)
    box.press("Enter")


def test_both_uis_ask_for_the_login_and_forget_it_on_logout(page: Page, guarded: str) -> None:
    page.goto(f"{guarded}/v2/blocks")
    log_in(page, "mailsluice:guessed")
    expect(page.get_by_text("Invalid credentials")).to_be_visible()
    log_in(page, LOGIN)
    expect(page.get_by_role("link", name="Automations")).to_be_visible()
    page.goto(f"{guarded}/settings")  # of the older UI
    expect(page.get_by_text("Color Mode")).to_be_visible()

    page.goto(f"{guarded}/v2/blocks")
    page.get_by_text("Logout").click()
    expect(page.get_by_text("Logout")).to_have_count(0)
    page.goto(f"{guarded}/blocks")
    page.wait_for_url("**/login?redirect=*")  # of the older UI
