"""Publishing the preview of a message: on Prefect's server if that can show it, else in a file."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.runtime import flow_run

from mailsluice.operations.preview import MessagePreview
from mailsluice.operations.preview.file import write_preview
from mailsluice.operations.preview.stored import KIND, ROUTE, as_data

logger = logging.getLogger(__name__)


async def publish_preview(preview: MessagePreview | None) -> str:
    """Publish a preview; returns a line of Markdown that leads to it, or empty text.

    The preview cannot be made or published: a page without it is better than no page.
    """
    if preview is None or not preview.messages:
        return ""
    try:
        async with get_client() as client:
            if await _shows_previews(client):
                return _link(await _stored(client, preview))
        path = await asyncio.to_thread(write_preview, preview)
    except Exception as error:  # noqa: BLE001 - the page is published without its preview
        logger.warning("the page is published without its preview: %s", type(error).__name__)
        return ""
    return (
        f"The message as a few recipients would get it is in `{path}` on the worker's machine: open"
        " that file in a browser. (Mailsluice's own Prefect server shows it by a link here.)"
    )


async def _shows_previews(client: PrefectClient) -> bool:
    """Whether the server is Mailsluice's, which has a page for previews."""
    route = cast("Any", f"/{ROUTE}")
    try:
        return (await client.request("GET", route)).status_code == httpx.codes.NO_CONTENT
    except httpx.HTTPError:
        return False


async def _stored(client: PrefectClient, preview: MessagePreview) -> UUID:
    """Store the preview with this run. Without a key, lists of artifacts leave it out."""
    artifact = ArtifactCreate(
        type=KIND,
        description="The preview of a message; its plan or test links the page that shows it.",
        data=as_data(preview),
        flow_run_id=UUID(flow_run.get_id()),
    )
    return (await client.create_artifact(artifact)).id


def _link(artifact_id: UUID) -> str:
    # The pages of artifacts and runs are two levels below the UI's address: core/form_links.py.
    where = f"../../{ROUTE}/{artifact_id}"
    return f"**[Open the message as a few recipients would get it]({where})**: HTML, text, headers."
