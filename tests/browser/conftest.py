"""`make serve` and a headless chromium, one of each for the folder.

All tests of the folder are one group: with pytest-xdist, one process runs them all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import (
    BrowserContext,
    FloatRect,
    Locator,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)
from playwright.sync_api import Error as PlaywrightError
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import SMTPConnection
from tests.groups import items_beside
from tests.saved_blocks import save
from tests.sending import sending
from tests.serving import Served, save_connection, served

__all__ = ["save_connection", "sending", "served"]

BROWSERS = ("chromium-headless-shell", "chromium", "google-chrome")
"""The browser's programs, best first: the shell, without windows, takes a quarter less time."""
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--in-process-gpu",  # no process of its own for what draws the pages
    "--process-per-site",  # see `renderer`
    "--disable-dev-shm-usage",  # a container's /dev/shm is small, and a page that fills it crashes
    "--disable-quic",
    "--js-flags=--min-semi-space-size=64 --max-semi-space-size=64",  # collects garbage less often
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # The UI's analytics stay here; a name of another site that was made to point to this machine.
    "--host-resolver-rules=MAP elsewhere.example 127.0.0.1 , MAP * ~NOTFOUND , "
    "EXCLUDE 127.0.0.1 , EXCLUDE localhost",
]
DRAWING_MS = 10_000
FORGET = """
if (!window.name && location.protocol.startsWith("http")) {
  localStorage.clear();
  window.name = "a tab of this test";
}
"""
"""Clear what earlier tests left, before the first page of a tab is drawn."""
HIDE_BROKEN_IMAGES = """
for (const image of document.images) if (!image.naturalWidth) image.style.visibility = "hidden"
"""
"""Logos of block types that only another machine has."""
HUNG_SECONDS = 1_200
"""A test that walks a long way takes its time on a slow, busy machine."""
MARGIN = 8
PATIENCE_MS = 240_000
"""The bound of each wait for the page: it only ends a test that would hang."""
READING_MS = 10_000
STAND_STILL = """
addEventListener("DOMContentLoaded", () => {
  const style = document.createElement("style");
  const nothing = "animation: none !important; transition: none !important";
  style.textContent = `*, ::before, ::after { ${nothing} }`;
  document.head.append(style);
});
let drawn = 0;
for (const action of ["pointerdown", "keydown"]) addEventListener(action, () => drawn = 0, true);
window.requestAnimationFrame = draw =>
  setTimeout(() => draw(performance.now()), drawn++ < 20 ? 100 : 1000);
window.cancelAnimationFrame = clearTimeout;
"""
"""Each frame of an animation costs processor time: no graphics card draws it.

The graph of a run draws all frames that it can get, as long as its page is open: a third of a
processor at ten frames a second. After two seconds without an action it gets one a second.
"""
VIEWPORT: ViewportSize = {"width": 1_100, "height": 2_400}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One group, so that one process of pytest-xdist starts a server and a browser."""
    for item in items_beside(__file__, items):
        item.add_marker(pytest.mark.xdist_group("browser"))
        item.add_marker(pytest.mark.timeout(HUNG_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the text of the page to the report of a failed test."""
    report = yield
    page = getattr(item, "funcargs", {}).get("page")
    if call.excinfo and call.when == "call" and page:
        with suppress(PlaywrightError):
            shown = page.locator("body").inner_text(timeout=READING_MS)
            report.sections.append(("The page in the end", f"{page.url}\n{shown}"))
    return report


@pytest.fixture(scope="package")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    """Headless chromium; the tests are skipped without one, but not in CI.

    One profile on disk for all tests: the UI's scripts are in its cache from the first of them on,
    compiled. Tall enough for the whole form.
    """
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None and not os.environ.get("CI"):
        pytest.skip("no chromium on the PATH: install it to run the browser tests")
    expect.set_options(timeout=PATIENCE_MS)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("chromium"),
            executable_path=executable,
            args=CHROMIUM_FLAGS,
            viewport=VIEWPORT,
            reduced_motion="reduce",
        ) as made,
    ):
        made.set_default_timeout(PATIENCE_MS)
        made.add_init_script(STAND_STILL)
        yield made


@pytest.fixture(scope="package")
def renderer(context: BrowserContext, served: Served) -> None:
    """Keep a page of the server open, so that all tabs that show the UI share its process.

    The process of each test would compile the UI's scripts again.
    """
    context.pages[0].goto(f"{served.url}/api/health")


@pytest.fixture
def page(context: BrowserContext, renderer: None) -> Iterator[Page]:
    """A tab of its own, with a UI that remembers nothing: no draft of a form, no setting."""
    with context.new_page() as tab:
        tab.add_init_script(FORGET)
        yield tab


@pytest.fixture(scope="package")
def connections(served: Served) -> None:
    """Two connections to pick, sendgrid and sparkpost, which nothing is sent over."""
    with temporary_settings({PREFECT_API_URL: f"{served.url}/api"}):
        for name in ("sendgrid", "sparkpost"):
            save(SMTPConnection(host="smtp.example.com"), name)


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
        height: int = 12_000,  # more than the longest form: nothing is scrolled away
    ) -> None:
        if not folder:
            return
        page.set_viewport_size({"width": width, "height": height})
        page.mouse.move(0, 0)
        page.wait_for_timeout(DRAWING_MS)  # a canvas does not tell when it is drawn
        page.evaluate(HIDE_BROKEN_IMAGES)
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
