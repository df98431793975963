"""From a campaign document to stored recipients, each with its connection. Nothing is sent here.

A launch needs numpy, pandas and pyarrow, which take half as long to load as Prefect does. They are
imported where it begins: a process that continues a campaign, or sends a part of one, compiles its
message without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from mailsluice.audience.engines import Connect
from mailsluice.campaign import Campaign
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.status import CampaignStatus
from mailsluice.message import CompiledMessage, attachment_digests, compile_message
from mailsluice.store import (
    CampaignRecord,
    Campaigns,
    Database,
    Launches,
    RouteRecord,
    Suppressions,
    WarmUps,
)

if TYPE_CHECKING:
    from mailsluice.assignment.assignment import Assignment
    from mailsluice.assignment.placement import Placement
    from mailsluice.audience.resolved import Audience


def content(campaign: Campaign) -> dict[str, Any]:
    """What makes the campaign this campaign, attached files included, as JSON values."""
    return {**campaign.content(), "attachments": attachment_digests(campaign.message)}


def compiled(
    campaign: Campaign, columns: tuple[str, ...] | list[str], return_key: str | None = None
) -> CompiledMessage:
    """Compile the campaign's message for an audience with these columns.

    `return_key` is that of its record, the secret behind return paths and Message-IDs; without one
    nobody has a return path of his own.
    """
    return compile_message(
        campaign.message,
        campaign=campaign.name,
        columns=columns,
        now=partial(datetime.now, UTC),
        return_key=return_key,
    )


def resolve_audience(campaign: Campaign, database: Database, connect: Connect) -> Audience:
    """Read the campaign's recipients, less who is excluded or suppressed.

    Checks the message against what was read, so that a template that cannot be filled in stops the
    campaign here. Raises AudienceError or MessageError. The caller closes the audience.
    """
    from mailsluice.audience.resolution import resolve
    from mailsluice.operations.suppression.lookup import Lookup

    audience = resolve(
        campaign.recipients,
        exclude=campaign.exclude,
        suppressed=Lookup(Suppressions(database)),
        connect=connect,
    )
    try:
        compiled(campaign, audience.columns)
    except BaseException:
        audience.close()
        raise
    return audience


@dataclass(frozen=True, slots=True)
class Occasion:
    """When a campaign is launched, over which connections that warm up."""

    day: date
    """The day its run was scheduled for: shares that grow are those of this day."""
    moment: datetime
    """What the database's clock says: warm-ups begin their days by it."""
    warm_ups: Mapping[str, WarmUp] = field(default_factory=dict)
    """By connection: of the routes, and of those that they spill to."""


def decide(
    database: Database, campaign: Campaign, audience: Audience, occasion: Occasion
) -> Placement:
    """Give every recipient its connection and its day, as a launch at this moment would.

    Writes nothing. Raises CampaignError where a warm-up cannot work for this campaign.
    """
    from mailsluice.assignment.assignment import assign
    from mailsluice.assignment.placement import place

    assignment = assign(audience.address_keys, audience.domain_keys, campaign, occasion.day)
    record = Campaigns(database).find(campaign.name)
    with database.read() as connection:
        states = WarmUps(database).states(
            connection, record.id if record else None, occasion.warm_ups, occasion.moment
        )
    return place(campaign, assignment, occasion.day, states)


def launched_before(database: Database, campaign: Campaign) -> CampaignRecord | None:
    """The record of a campaign that was launched already: a run of it goes on with that.

    Raises CampaignDiffersError where it was launched with other content.
    """
    campaigns, known = Campaigns(database), content(campaign)
    if campaigns.find(campaign.name) is None:
        campaigns.refuse_alike(campaign.name)
        return None
    record = campaigns.register(campaign.name, known)  # it is there: nothing is written
    return None if record.status is CampaignStatus.RESOLVING else record


def store_audience(
    database: Database,
    campaign_id: int,
    campaign: Campaign,
    audience: Audience,
    occasion: Occasion,
) -> Placement:
    """Give every recipient its connection and its day, and store all of them in send order.

    From here on the campaign can be sent. Shares and days are recorded, and stay this campaign's
    however long it takes. Raises CampaignError where a warm-up cannot work for this campaign.
    """
    from mailsluice.assignment.assignment import assign
    from mailsluice.operations.placed_rows import placed

    assignment = assign(audience.address_keys, audience.domain_keys, campaign, occasion.day)
    placement = _planned(database, campaign_id, campaign, assignment, occasion)
    launches = Launches(database)
    launches.store_audience(campaign_id, placed(audience, placement), audience.rejects())
    launches.finish(
        campaign_id,
        read_rows=audience.read,
        accepted=len(audience),
        rejected={reason.value: number for reason, number in audience.counts().items()},
        assigned=_routes(placement),
        digest=placement.digest(audience.address_keys),
        held_back=audience.held_back(),
        moved=placement.moved,
    )
    Campaigns(database).set_status(campaign_id, CampaignStatus.SENDING)  # by the launching run
    return placement


def _planned(
    database: Database,
    campaign_id: int,
    campaign: Campaign,
    assignment: Assignment,
    occasion: Occasion,
) -> Placement:
    """Apply the warm-ups, and take what is left of their caps: in one transaction."""
    from mailsluice.assignment.placement import place

    warm_ups = WarmUps(database)
    with database.write() as transaction:
        warm_ups.lock(transaction)
        states = warm_ups.states(transaction, campaign_id, occasion.warm_ups, occasion.moment)
        placement = place(campaign, assignment, occasion.day, states)
        warm_ups.record(transaction, campaign_id, placement.warmings, states)
    return placement


def _routes(placement: Placement) -> list[RouteRecord]:
    """The routes; then the connections that only take over, which have no share of their own."""
    taking_over = len(placement.connections) - len(placement.assignment.quotas)
    percents = [*(placement.percents or [None] * len(placement.assignment.quotas))]
    percents += [Decimal(0)] * taking_over
    return [
        RouteRecord(name, None if percent is None else str(percent), assigned)
        for (name, assigned), percent in zip(placement.assigned.items(), percents, strict=True)
    ]
