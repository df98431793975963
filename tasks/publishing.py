"""Publishing a page as a Markdown artifact, and the settings of the tasks that do so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
)
from slugify import slugify

UNSTORED: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
"""Settings of a task whose arguments and result stay in this process: Prefect stores neither."""


async def publish(kind: str, name: str = "", *, page: str, summary: str) -> None:
    """Publish a page; pages of the same kind and name are versions of one artifact.

    Args:
        kind: The kind of page, the beginning of the artifact's key.
        name: What the page is about, for example a campaign.
        page: The page in Markdown, without addresses.
        summary: One line, which lists of artifacts show.
    """
    key = key_of(kind, name)
    await acreate_markdown_artifact(key=key, markdown=page, description=summary)


async def replace(kind: str, name: str = "", *, page: str, summary: str) -> None:
    """Publish a page in place of its latest version, so that no versions pile up.

    Arguments are those of `publish`.
    """
    if not await republish(kind, name, lambda _: page, summary):
        await publish(kind, name, page=page, summary=summary)


async def republish(
    kind: str, name: str, change: Callable[[str], str], summary: str | None = None
) -> bool:
    """Change the latest version of a page in place; there is no new version in the list.

    `summary` is the new line for lists of artifacts; None keeps the present one. Returns whether
    there is such a page.
    """
    key = key_of(kind, name)
    described = {} if summary is None else {"description": summary}
    async with get_client() as client:
        latest = await client.read_latest_artifacts(
            artifact_filter=ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[key]))
        )
        for artifact in latest:
            page = await asyncio.to_thread(change, str(artifact.data))
            if page != artifact.data:
                # The client's own method would also emit an event with the whole page.
                await client.request(
                    "PATCH",
                    "/artifacts/{id}",
                    path_params={"id": artifact.latest_id},
                    json={"data": page, **described},
                )
    return bool(latest)


def key_of(kind: str, name: str) -> str:
    """The key of a page's artifact."""
    return "-".join(filter(None, (kind, slugify(name))))
