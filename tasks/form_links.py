"""Links from a page to the forms of the next deployments, filled in with the page's campaign."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter
from prefect.client.schemas.filters import FlowRunFilterName as RunName
from prefect.client.schemas.sorting import DeploymentSort, FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from blocks import SMTPConnection
from blocks.form import DATABASE_SLUG
from mailsluice.core.form_links import FormLink

logger = logging.getLogger(__name__)

_SENDS = "send-campaign"


async def form_links(labels: Mapping[str, str], campaign: str | None = None) -> list[FormLink]:
    """Link the forms of these flows' deployments.

    The forms are filled in with the campaign of this run, or with that of the last run that sent
    the campaign of this name. A flow without a deployment gets no link. When the server does not
    answer, the result is empty: a page without links is better than no page.

    Args:
        labels: The links' texts, by the name of the flow.
        campaign: The name of the page's campaign.
    """
    try:
        async with get_client() as client:
            parameters, *deployments = await asyncio.gather(
                _campaign(client, campaign), *(_deployment(client, flow) for flow in labels)
            )
            return [
                FormLink(label, str(deployment), parameters)
                for label, deployment in zip(labels.values(), deployments, strict=True)
                if deployment
            ]
    except Exception as error:  # noqa: BLE001 - after any error the page is published without links
        logger.debug("the page is published without links: %s", type(error).__name__)
        return []


async def _deployment(client: PrefectClient, flow: str) -> UUID | None:
    """The flow's deployment that was updated last."""
    mine = FlowFilter(name=FlowFilterName(any_=[flow]))
    deployments = await client.read_deployments(
        flow_filter=mine, sort=DeploymentSort.UPDATED_DESC, limit=1
    )
    return deployments[0].id if deployments else None


async def _campaign(client: PrefectClient, name: str | None) -> dict[str, Any] | None:
    """The parameters with the campaign as the run was given it; None when no run is known."""
    run = await client.read_flow_run(UUID(flow_run.get_id()))
    given = run.parameters.get("campaign")
    if not isinstance(given, dict) and name is not None:
        given = await _sent(client, name)
    if not isinstance(given, dict):
        return None
    known = {**given, **({"name": name} if name is not None else {})}
    return {"campaign": await _with_references(client, known)}


async def _sent(client: PrefectClient, name: str) -> Any:
    """The campaign parameter of the last run that sent this campaign."""
    runs = await client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[_SENDS])),
        flow_run_filter=FlowRunFilter(name=RunName(any_=[name])),
        sort=FlowRunSort.START_TIME_DESC,
        limit=1,
    )
    return runs[0].parameters.get("campaign") if runs else None


async def _with_references(client: PrefectClient, campaign: dict[str, Any]) -> dict[str, Any]:
    """The campaign with references instead of block names, which a form's picker needs."""
    filled = dict(campaign)
    slug = SMTPConnection.get_block_type_slug()
    filled["routes"] = [
        {**route, "connection": await _reference(client, route.get("connection"), slug)}
        for route in campaign.get("routes") or []
        if isinstance(route, dict)
    ]
    for name in ("recipients", "exclude"):
        given = campaign.get(name)
        if isinstance(given, list):
            filled[name] = [await _with_database(client, source) for source in given]
        elif given is not None:
            filled[name] = await _with_database(client, given)
    return filled


async def _with_database(client: PrefectClient, source: Any) -> Any:
    if not isinstance(source, dict) or not source.get("database"):
        return source
    return {**source, "database": await _reference(client, source["database"], DATABASE_SLUG)}


async def _reference(client: PrefectClient, name: Any, slug: str) -> Any:
    if not isinstance(name, str):  # already a reference
        return name
    try:
        block = await client.read_block_document_by_name(name, slug, include_secrets=False)
    except ObjectNotFound:
        return name
    return {"$ref": {"block_document_id": str(block.id)}}
