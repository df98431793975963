"""The pages that flows leave on the Prefect server."""

from __future__ import annotations

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey


async def pages(key: str) -> list[str]:
    """Those of a key, the latest last."""
    # Asked for by its key: without, the server gives some 200 of all there are.
    mine = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=mine)
    return [str(one.data) for one in sorted(found, key=lambda one: one.created)]


async def page(key: str) -> str:
    """The latest of a key."""
    return (await pages(key))[-1]
