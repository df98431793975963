"""Publishing a page as a Markdown artifact, and the settings of the tasks that do so."""

from __future__ import annotations

from typing import Any

from prefect.artifacts import acreate_markdown_artifact
from prefect.cache_policies import NO_CACHE
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
    key = "-".join(filter(None, (kind, slugify(name))))
    await acreate_markdown_artifact(key=key, markdown=page, description=summary)
