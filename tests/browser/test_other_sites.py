"""A page of another web site, in the browser of whoever runs `make serve`, gets nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.serving import Served

ATTEMPTS = """
async ({url, deployment}) => {
  const tried = {};
  const attempt = async (name, action) => {
    try { tried[name] = await action(); } catch (error) { tried[name] = "refused"; }
  };
  const json = {"Content-Type": "application/json"};
  const secrets = JSON.stringify({include_secrets: true});
  const text = async (path, init) => (await fetch(url + path, init)).text();
  const run = `/api/deployments/${deployment}/create_flow_run`;
  await attempt("read secrets", () => text("/api/block_documents/filter",
    {method: "POST", headers: json, body: secrets}));
  await attempt("read secrets as text", () => text("/api/block_documents/filter",
    {method: "POST", body: secrets}));
  await attempt("get a token", () => text("/api/csrf-token?client=theirs"));
  await attempt("start a run unseen", async () => {
    await fetch(url + run, {method: "POST", mode: "no-cors", body: "{}"});
    return "refused";  // nothing can be read of the reply: the number of runs tells
  });
  await attempt("hear events", () => new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace("http", "ws") + "/api/events/out", "prefect");
    socket.onopen = () => resolve("open");
    socket.onerror = reject;
  }));
  await attempt("load as a script", () => new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.onload = () => resolve("loaded");
    script.onerror = reject;
    script.src = url + "/api/health";
    document.head.append(script);
  }));
  return tried;
}
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """The address of another web site: one on this machine, which is as near as one can be."""
    (tmp_path / "index.html").write_text("<!doctype html><title>Elsewhere</title>")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_port}"
        site.shutdown()


def runs(served: Served) -> int:
    return int(served.api.post("/flow_runs/count", json={}).json())


def test_a_page_of_another_site_gets_no_secret_and_starts_no_run(
    page: Page, served: Served, save_connection: Callable[..., None], elsewhere: str
) -> None:
    login = {"username": "me", "password": "kept-in-a-block", "allow_plain_password": True}
    save_connection("secret", port=2525, **login)
    before = runs(served)
    page.goto(elsewhere)
    given = {"url": served.url, "deployment": served.deployment_id}
    tried = page.evaluate(ATTEMPTS, given)
    assert set(tried.values()) == {"refused"}, tried
    assert runs(served) == before
    # The same from a page of the server itself: the attempts are sound.
    page.goto(f"{served.url}/api/health")
    tried = page.evaluate(ATTEMPTS, given)
    assert tried["hear events"] == "open"
    assert tried["load as a script"] == "loaded"
    assert '"token"' in tried["get a token"]


def test_a_page_of_another_site_cannot_frame_the_ui_but_link_to_it(
    page: Page, served: Served, elsewhere: str
) -> None:
    """The link has the UI's other name, by which it works too: all other tests use 127.0.0.1."""
    page.goto(elsewhere)
    linked = f"http://localhost:{urlsplit(served.url).port}/v2/blocks/catalog/smtp-connection"
    page.set_content(f'<iframe src="{served.url}/v2/"></iframe><a href="{linked}">UI</a>')
    frame = page.frame_locator("iframe")
    expect(frame.locator("body")).to_contain_text("Asked by a page of another site.")
    page.get_by_text("UI").click()
    expect(page.get_by_text("SMTP Connection").first).to_be_visible()


def test_a_name_that_was_made_to_point_here_gets_nothing(page: Page, served: Served) -> None:
    rebound = f"http://elsewhere.example:{urlsplit(served.url).port}"
    reply = page.goto(f"{rebound}/v2/")
    assert reply
    assert (reply.status, reply.text()) == (400, "Invalid host header")
    # The browser takes this page and the API for one origin.
    tried = page.evaluate(ATTEMPTS, {"url": rebound, "deployment": served.deployment_id})
    assert set(tried.values()) == {"Invalid host header", "refused"}, tried
    assert tried["read secrets"] == "Invalid host header"
