"""Pages of the UI, opened as its own links open them."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import Page

_FOLLOW = """async path => {
  const router = window.__TSR_ROUTER__;  // of TanStack, with which the newer UI is made
  const drawn = new Promise(resolve => {
    const stop = router.subscribe("onRendered", () => { stop(); resolve(); });
  });
  router.history.push(path);
  await drawn;
}"""


def visit(page: Page, url: str) -> None:
    """Open a page of the UI: within the newer UI if that is open, as a link does, else load it.

    A load executes the UI's ten megabytes of scripts, which takes two processor seconds; a link
    takes a tenth to a half of one. The page that is open is loaded anew, to show what has changed.
    """
    here, there = urlsplit(page.url), urlsplit(url)
    is_in_newer_ui = all(place.path.startswith("/v2/") for place in (here, there))
    if here.netloc == there.netloc and is_in_newer_ui and here.path != there.path:
        page.evaluate(_FOLLOW, there.path)
    else:
        page.goto(url)
