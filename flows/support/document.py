"""A campaign document in a flow: its check, its day, the databases of its queries.

Prefect checks a flow's parameters before it names the run, and says what is wrong with them in
words for programmers, together with the parameters. So flows take a campaign as it is given, under
its schema, and check it here, when the run has its name.
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

from blocks import CampaignForm
from blocks.loading import load_database
from flows.support.run_day import RunDay, day_at, day_of_run, field_of
from mailsluice.audience.engines import Connect
from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignError
from mailsluice.core.forms import in_words
from mailsluice.core.names import DAY, LONGEST, campaign_name, seen

CampaignParameter = Annotated[CampaignForm, WrapValidator(lambda value, _: value)]
"""A campaign that nobody has checked yet; in the form, all of its fields."""


def named_in(campaign: object, day: date | None = None) -> str:
    """Name a run of this campaign, whatever is wrong with the document."""
    name = seen(str(field_of(campaign, "name") or "campaign")[:LONGEST])
    return name if day is None else name.replace(DAY, day.isoformat())


def checked(campaign: object) -> CampaignForm:
    """The document, checked as a whole. Raises CampaignError, in words for the operator."""
    try:
        return CampaignForm.model_validate(campaign)
    except ValidationError as error:
        raise CampaignError(f"the campaign cannot be sent as it is: {in_words(error)}") from None


async def checked_parameter(campaign: object) -> CampaignForm:
    """The document of another run, as the Prefect server has it. Raises CampaignError."""

    def block(value: Any) -> Any:
        is_reference = isinstance(value, dict) and "$ref" in value
        # Prefect's decorator, which adds _sync, hides it from the types.
        load: Any = Block.load_from_ref
        return load(value["$ref"], _sync=True) if is_reference else value

    try:
        loaded = await asyncio.to_thread(visit_collection, campaign, block, return_data=True)
    except (ValueError, RuntimeError):
        raise CampaignError(
            "a block that the campaign names does not exist any more: pick another one"
        ) from None
    return checked(loaded)


async def for_its_day(
    campaign: object, starts_at: datetime | None = None
) -> tuple[CampaignForm, date]:
    """The document, checked, with the day in its name; and the day.

    The day of the run; with `starts_at`, the one that a run at this moment would have. Raises
    CampaignError.
    """
    document = checked(campaign)
    found = await _day(document, starts_at)
    if DAY in document.name or any(route.growth for route in document.routes):
        get_run_logger().info("%s", found)
    name = campaign_name(document.name.replace(DAY, found.day.isoformat()))
    return document.model_copy(update={"name": name}), found.day


async def _day(document: Campaign, starts_at: datetime | None) -> RunDay:
    if starts_at is None:
        return await asyncio.to_thread(day_of_run, document)
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return await asyncio.to_thread(day_at, document, starts_at, run)


async def database_engines(document: Campaign) -> Connect:
    """Load the databases that a campaign's queries run on; gives the engine of each by its name."""
    names = {document.recipients.database, document.exclude.database} - {None}
    engines = {name: (await load_database(name)).get_engine() for name in names if name}
    return engines.__getitem__
