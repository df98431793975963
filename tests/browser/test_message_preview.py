"""A hostile message in the page of previews: it may show itself, and do nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
import uvicorn
from playwright.sync_api import BrowserContext, expect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

from deployments.prefect_server.same_origin import SameOrigin
from deployments.server import free_port
from mailsluice.operations.preview import MessagePreview, ShownMessage
from mailsluice.operations.preview.stored import KIND, ROUTE, as_data
from tests.eventually import eventually

HOSTILE = """
<html><head>
<base href="{url}/base/" target="_top">
<meta http-equiv="refresh" content="0;url={url}/refresh">
<link rel="stylesheet" href="{url}/style.css"><link rel="prefetch" href="{url}/prefetch">
<link rel="preconnect" href="{url}"><link rel="icon" href="{url}/icon">
<style>@import "{url}/import.css"; body {{ background: url({url}/background.png) }}
@font-face {{ font-family: f; src: url({url}/font) }} p {{ font-family: f }}</style>
<script>parent.document.title = "taken"; fetch("{url}/script")</script>
</head><body onload="fetch('{url}/onload')">
<h1>Hello Ann</h1>
<p><a id="top" href="{url}/top" target="_top">top</a>
<a id="plain" href="{url}/plain">plain</a>
<a id="blank" href="{url}/blank" target="_blank" ping="{url}/ping">blank</a>
<a id="code" href="javascript:alert(1)">code</a>
<a id="data" href="data:text/html,<script>alert(1)</script>" target="_top">data</a>
<a id="saved" href="data:text/plain,x" download="x.txt">saved</a></p>
<form action="{url}/form" target="_top"><button id="send">send</button></form>
<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10" onload="fetch('{url}/svg')">
<script>fetch("{url}/svgscript")</script><image href="{url}/svg.png" width="9" height="9"/></svg>
<iframe src="{url}/frame"></iframe><iframe srcdoc="<script>fetch('{url}/inner')</script>"></iframe>
<object data="{url}/object"></object><embed src="{url}/embed">
<video src="{url}/video" poster="{url}/poster" autoplay></video>
<img src="{url}/pixel.png" srcset="{url}/set.png 2x" onerror="fetch('{url}/onerror')">
<img id="inside" src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=">
<p id="end">the end</p></body></html>
"""
PRESSED = ("top", "plain", "blank", "code", "data", "saved", "send")


class Elsewhere:
    """The server of somebody else: it notes every request."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, scope: dict, receive: object, send: object) -> None:  # type: ignore[type-arg]
        self.asked.append(scope.get("path", ""))
        await PlainTextResponse("here")(scope, receive, send)  # type: ignore[arg-type]


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application on loopback; yields its address."""
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started, bool)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def test_a_hostile_message_shows_itself_and_does_nothing(
    context: BrowserContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deployments.prefect_server import previews  # imports Prefect's server: a second

    elsewhere = Elsewhere()
    refusing = SameOrigin(previews.Previews(PlainTextResponse("Prefect's")), host="127.0.0.1")
    with serving(elsewhere) as foreign, serving(refusing) as own:  # type: ignore[arg-type]
        shown = ShownMessage("first", "a", 1, [], html=HOSTILE.format(url=foreign))
        data = as_data(MessagePreview("spring", [shown]))

        async def read(_: UUID) -> SimpleNamespace:
            return SimpleNamespace(type=KIND, data=data)

        monkeypatch.setattr(previews, "read_artifact", read)
        with context.new_page() as page:
            opened: list[object] = []
            for event in ("dialog", "download", "popup"):
                page.on(event, lambda seen: opened.append(seen))  # noqa: PLW0108 not for a built-in
            url = f"{own}/{ROUTE}/{uuid4()}"
            for query in ("", "?images=yes"):
                page.goto(url + query)
                frame = page.frame_locator("iframe")
                expect(frame.get_by_role("heading", name="Hello Ann")).to_be_visible()
                inside = frame.locator("#inside")
                assert inside.evaluate("image => image.naturalWidth") == 1
                for name in PRESSED:
                    for modifiers in ([], ["ControlOrMeta"], ["Shift"]):
                        place = page.frame_locator("iframe").locator(f"#{name}")
                        place.click(modifiers=modifiers, no_wait_after=True)  # type: ignore[arg-type]
                    assert page.url == url + query
                assert page.title() == "Preview: spring"
            assert len(context.pages) <= 2
            assert opened == []
        assert elsewhere.asked == []
