"""Buttons that ask the Prefect API for something."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, Response


def press(page: Page, button: Locator, path: str) -> Response:
    """Press a button; the API's reply at an address with `path` in it, which is no error."""
    # Not what the UI reads besides, such as whether a block of that name is there already.
    with page.expect_response(lambda one: path in one.url and one.request.method != "GET") as reply:
        button.click()
    assert reply.value.ok, reply.value.text()
    return reply.value
