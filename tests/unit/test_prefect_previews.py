"""The page of previews on Mailsluice's Prefect server: its login, its headers, what it refuses.

The artifacts are the test's: `tests/browser` has a real server and its database.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect.settings import PREFECT_SERVER_API_AUTH_STRING, temporary_settings
from starlette.responses import PlainTextResponse

from mailsluice.operations.preview import MessagePreview, ShownMessage
from mailsluice.operations.preview.stored import KIND, ROUTE, as_data

pytestmark = pytest.mark.xdist_group("loads-prefect-server")

ID = "11111111-2222-4333-8444-555555555555"
PREVIEW = MessagePreview("spring", [ShownMessage("first", "a", 1, [], html="<b>Hello</b>")])


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The artifact of the server's database, which a test may change."""
    from deployments.prefect_server import previews

    artifact: dict[str, Any] = {"type": KIND, "data": as_data(PREVIEW)}

    async def read(artifact_id: UUID) -> SimpleNamespace | None:
        return SimpleNamespace(**artifact) if str(artifact_id) == ID else None

    monkeypatch.setattr(previews, "read_artifact", read)
    return artifact


async def get(path: str, method: str = "GET", **options: Any) -> httpx.Response:
    from deployments.prefect_server.previews import Previews

    transport = httpx.ASGITransport(Previews(PlainTextResponse("Prefect's")))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
        return await browser.request(method, path, **options)


@pytest.mark.parametrize("path", [f"/{ROUTE}/{ID}", f"/v2/{ROUTE}/{ID}"])
async def test_a_preview_is_shown_with_headers_that_forbid_everything(
    path: str, stored: dict[str, Any]
) -> None:
    answer = await get(path)
    assert answer.status_code == 200
    assert "&lt;b&gt;Hello&lt;/b&gt;" in answer.text
    assert answer.headers["content-security-policy"] == (
        "sandbox; frame-ancestors 'none'; default-src 'none'; img-src data:; style-src"
        " 'unsafe-inline'; form-action 'none'; base-uri 'none'"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    with_images = await get(path, params={"images": "yes"})
    assert "img-src data: https:;" in with_images.headers["content-security-policy"]
    assert "script" not in with_images.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "method", "answered"),
    [
        (f"/api/{ROUTE}", "GET", 204),  # says that there is such a page
        (f"/{ROUTE}/{ID[:-1]}6", "GET", 404),  # no such artifact
        (f"/{ROUTE}/{'-' * 36}", "GET", 404),  # no id
        (f"/{ROUTE}/{ID}", "POST", 200),  # Prefect's
        (f"/{ROUTE}/{ID}x", "GET", 200),  # Prefect's
        (f"/api/artifacts/{ID}", "GET", 200),  # Prefect's
    ],
)
async def test_other_requests_are_prefects(
    path: str, method: str, answered: int, stored: dict[str, Any]
) -> None:
    answer = await get(path, method)
    assert answer.status_code == answered
    assert (answer.text == "Prefect's") is (answered == 200)


@pytest.mark.parametrize(
    "other",
    [
        {"type": "markdown"},
        {"data": "<script>alert(1)</script>"},
        {"data": {"campaign": "x", "messages": [{"html": "<script>"}]}},
        {"data": None},
    ],
)
async def test_an_artifact_of_another_kind_is_not_shown(
    other: dict[str, Any], stored: dict[str, Any]
) -> None:
    stored.update(other)
    answer = await get(f"/{ROUTE}/{ID}")
    assert answer.status_code == 404
    assert "script" not in answer.text


async def test_the_page_has_the_login_of_the_api(stored: dict[str, Any]) -> None:
    with temporary_settings({PREFECT_SERVER_API_AUTH_STRING: "me:s€cret"}):
        asked = await get(f"/{ROUTE}/{ID}")
        wrong = await get(f"/{ROUTE}/{ID}", auth=("me", "guess"))
        broken = await get(f"/{ROUTE}/{ID}", headers={"Authorization": "Basic €"[:6] + "%%%"})
        right = await get(f"/{ROUTE}/{ID}", auth=("me", "s€cret"))
        telling = await get(f"/api/{ROUTE}")
    assert [one.status_code for one in (asked, wrong, broken, right)] == [401, 401, 401, 200]
    assert asked.headers["www-authenticate"].startswith("Basic ")
    assert "Hello" not in asked.text + wrong.text + broken.text
    assert telling.status_code == 204
