"""What the browser tests stand on: `make serve` for real, and a headless chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, ViewportSize, sync_playwright

from tests.sending import sending
from tests.serving import save_connection, served

__all__ = ["save_connection", "sending", "served"]

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The UI's analytics stay here; a name of another site that was made to point to this machine.
    "--host-resolver-rules=MAP elsewhere.example 127.0.0.1 , MAP * ~NOTFOUND , "
    "EXCLUDE 127.0.0.1 , EXCLUDE localhost",
]
DRAWING_MS = 3_000
MARGIN = 8
VIEWPORT: ViewportSize = {"width": 1_100, "height": 2_400}


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Headless chromium; the tests are skipped without one, but not in CI."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None and not os.environ.get("CI"):
        pytest.skip("no chromium on the PATH: install it to run the browser tests")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh page, without cookies, tall enough for the whole form."""
    with browser.new_context(viewport=VIEWPORT) as context:
        context.set_default_timeout(60_000)
        yield context.new_page()


@pytest.fixture
def picture(page: Page) -> Callable[..., None]:
    """Take a picture for the docs, of the page or from one box of it to another.

    Does so only where MAILSLUICE_SCREENSHOTS names the folder: MAILSLUICE_SCREENSHOTS=docs/images.
    """
    folder = os.environ.get("MAILSLUICE_SCREENSHOTS")

    def take(
        name: str,
        first: Locator | None = None,
        last: Locator | None = None,
        width: int = 1_100,
        height: int = 9_000,  # more than the longest form: nothing is scrolled away
    ) -> None:
        if not folder:
            return
        page.set_viewport_size({"width": width, "height": height})
        page.mouse.move(0, 0)
        page.wait_for_timeout(DRAWING_MS)  # a canvas does not tell when it is drawn
        clip = _around(first, last) if first and last else None
        page.screenshot(path=Path(folder) / f"{name}.png", clip=clip)
        page.set_viewport_size(VIEWPORT)

    return take


def _around(first: Locator, last: Locator) -> FloatRect:
    top, bottom = first.bounding_box(), last.bounding_box()
    assert top
    assert bottom
    end = bottom["y"] + bottom["height"]
    return {
        "x": top["x"] - MARGIN,
        "y": top["y"] - MARGIN,
        "width": top["width"] + 2 * MARGIN,
        "height": end - top["y"] + 2 * MARGIN,
    }
