"""The pages that flows leave on the Prefect server."""

from __future__ import annotations

from datetime import datetime

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.objects import Artifact


async def pages(key: str) -> list[str]:
    """The pages of a key, the latest last."""
    # Asked for by its key: without, the server gives some 200 of all there are.
    mine = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    async with get_client() as client:
        found = await client.read_artifacts(artifact_filter=mine)
    return [str(one.data) for one in sorted(found, key=_created)]


def _created(artifact: Artifact) -> datetime:
    assert artifact.created is not None
    return artifact.created


async def page(key: str) -> str:
    """The latest of a key."""
    return (await pages(key))[-1]
