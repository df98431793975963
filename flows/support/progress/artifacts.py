"""The progress artifacts of one run: a bar and its words, for each connection and for all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from prefect.artifacts import ProgressArtifact, aupdate_progress_artifact
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
)
from slugify import slugify


@dataclass(frozen=True, slots=True)
class Bar:
    """The contents of a progress artifact."""

    percent: float
    text: str
    """Markdown."""


class ProgressArtifacts:
    """Creates the artifacts once in a run, and updates those that have changed."""

    def __init__(self, flow_run_id: UUID, campaign: str) -> None:
        self._flow_run_id = flow_run_id
        self._campaign = campaign
        self._ids: dict[str, UUID] | None = None
        self._shown: dict[str, Bar] = {}

    async def show(self, bars: Mapping[str | None, Bar]) -> None:
        """Show a bar for each connection, and one for the campaign (None).

        Raises what Prefect's client raises where the server is away.
        """
        changed = {
            name: bar for name, bar in bars.items() if self._shown.get(self._key(name)) != bar
        }
        if not changed:
            return
        async with get_client() as client:
            if self._ids is None:
                self._ids = await self._known(client)
            ids = self._ids
            await asyncio.gather(
                *(self._write(client, ids, self._key(name), bar) for name, bar in changed.items())
            )

    async def _write(self, client: PrefectClient, ids: dict[str, UUID], key: str, bar: Bar) -> None:
        if key in ids:
            await aupdate_progress_artifact(ids[key], bar.percent, bar.text, client)
        else:
            new = ProgressArtifact(progress=bar.percent, key=key, description=bar.text)
            ids[key] = (await new.acreate(client)).id
        self._shown[key] = bar

    async def _known(self, client: PrefectClient) -> dict[str, UUID]:
        """The artifacts that this run created before it was stopped."""
        mine = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[self._flow_run_id]),
            type=ArtifactFilterType(any_=["progress"]),
        )
        artifacts = await client.read_artifacts(artifact_filter=mine)
        return {artifact.key: artifact.id for artifact in artifacts if artifact.key}

    def _key(self, connection: str | None) -> str:
        """The artifact's key; two dashes separate its parts, since no slug contains two."""
        key = f"progress-{slugify(self._campaign) or 'campaign'}"
        return f"{key}--{slugify(connection)}" if connection else key
