"""Buttons that ask the Prefect API for something."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, Response

from tests.serving import until


def press(page: Page, button: Locator, path: str) -> Response:
    """Press a button; the API's reply at an address with `path` in it, once it is no 503.

    A server on SQLite says 503 where its file is locked just then, and changes nothing: the UI
    shows that, and a person presses again.
    """

    def once() -> Response:
        # Not what the UI reads besides, such as whether a block of that name is there already.
        with page.expect_response(
            lambda one: path in one.url and one.request.method != "GET"
        ) as reply:
            button.click()
        return reply.value

    reply = until(once, lambda one: one.status != 503)
    assert reply.ok, reply.text()
    return reply
