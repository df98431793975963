"""A campaign document in a flow: its check, its day, the databases of its queries.

Prefect validates a flow's parameters before it names the run, and its message is meant for
programmers and contains the parameters. So a flow takes the campaign unchecked, under its schema,
and checks it here, when the run has its name.
"""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from typing import Annotated, Any

from prefect import get_run_logger
from prefect.blocks.core import Block
from prefect.context import FlowRunContext
from prefect.utilities.collections import visit_collection
from pydantic import ValidationError, WrapValidator

import blocks.list_storage  # noqa: F401 - a form refers to a block, whose class Prefect has to know
from blocks import CampaignForm
from blocks.loading import load_access
from flows.support.run_day import RunDay, day_at, day_of_run, field_of
from mailsluice.audience.engines import SourceAccess
from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignError
from mailsluice.core.forms import in_words
from mailsluice.core.names import DAY, LONGEST, seen

CampaignParameter = Annotated[CampaignForm, WrapValidator(lambda value, _: value)]
"""A campaign that is not checked yet; the form shows all of its fields."""


def named_in(campaign: object, day: date | None = None) -> str:
    """The campaign's name for a run, even where the document is invalid."""
    name = seen(str(field_of(campaign, "name") or "campaign")[:LONGEST])
    return name if day is None else name.replace(DAY, day.isoformat())


def checked(campaign: object) -> CampaignForm:
    """Check a document as a whole. Raises CampaignError, in words for the operator."""
    try:
        return CampaignForm.model_validate(campaign)
    except ValidationError as error:
        raise CampaignError(f"the campaign cannot be sent as it is: {in_words(error)}") from None


async def checked_parameter(campaign: object) -> CampaignForm:
    """Check a campaign from the parameters of another run. Raises CampaignError."""

    def block(value: Any) -> Any:
        is_reference = isinstance(value, dict) and "$ref" in value
        # Prefect's decorator, which adds _sync, hides it from the types.
        load: Any = Block.load_from_ref
        return load(value["$ref"], _sync=True) if is_reference else value

    try:
        loaded = await asyncio.to_thread(visit_collection, campaign, block, return_data=True)
    except (ValueError, RuntimeError):
        raise CampaignError(
            "a block that the campaign names does not exist any more: choose another one"
        ) from None
    return checked(loaded)


async def for_its_day(
    campaign: object, starts_at: datetime | None = None
) -> tuple[CampaignForm, date]:
    """Check a document and put the day into it; returns the document and the day.

    The day is that of this run, or of a run that starts at `starts_at`. Raises CampaignError.
    """
    document = checked(campaign)
    run_day = await _day(document, starts_at)
    if DAY in document.name or any(route.growth for route in document.routes):
        get_run_logger().info("%s", run_day)
    return document.on_day(run_day.day), run_day.day


async def _day(document: Campaign, starts_at: datetime | None) -> RunDay:
    if starts_at is None:
        return await asyncio.to_thread(day_of_run, document)
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return await asyncio.to_thread(day_at, document, starts_at, run)


async def source_access(document: Campaign) -> SourceAccess:
    """Load the databases and the storages that a campaign's sources name."""
    return await load_access(document.databases, document.storages)
