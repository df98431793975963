"""From a campaign document to stored recipients, each with its connection. Nothing is sent here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from mailsluice.assignment import Assignment, assign
from mailsluice.audience import Audience, resolve
from mailsluice.campaign import Campaign
from mailsluice.message import CompiledMessage, attachment_digests, compile_message
from mailsluice.outbox import Campaigns, Database, RouteRecord, Suppressions

_CHUNK_ROWS = 50_000


def content(campaign: Campaign) -> dict[str, Any]:
    """What makes the campaign this campaign, attached files included, as JSON values."""
    return {**campaign.content(), "attachments": attachment_digests(campaign.message)}


def compiled(campaign: Campaign, columns: tuple[str, ...] | list[str]) -> CompiledMessage:
    """Compile the campaign's message for an audience with these columns."""
    return compile_message(
        campaign.message,
        campaign=campaign.name,
        columns=columns,
        now=partial(datetime.now, UTC),
    )


def resolve_audience(
    campaign: Campaign, database: Database, connect: Callable[[str], sa.Engine]
) -> Audience:
    """Read the campaign's recipients, less who is excluded or suppressed.

    Checks the message against what was read, so that a template that cannot be filled in stops the
    campaign here. Raises AudienceError or MessageError. The caller closes the audience.
    """
    audience = resolve(
        campaign.recipients,
        exclude=campaign.exclude,
        suppressed=Suppressions(database).mask,
        connect=connect,
    )
    try:
        compiled(campaign, audience.columns)
    except BaseException:
        audience.close()
        raise
    return audience


def store_audience(
    campaigns: Campaigns, campaign_id: int, campaign: Campaign, audience: Audience, day: date
) -> list[RouteRecord]:
    """Give every recipient its connection, and store all of them in send order.

    Shares are those of `day`: they are recorded, and stay this campaign's however long it takes.
    Returns what each connection was assigned. From here on the campaign can be sent.
    """
    assignment = assign(audience.address_keys, audience.domain_keys, campaign, day)
    campaigns.store_audience(
        campaign_id, _assigned(campaign, audience, assignment), audience.rejects()
    )
    percents = campaign.percents(day)
    routes = [
        RouteRecord(route.connection, str(percents[i]) if percents else None, assigned)
        for i, (route, assigned) in enumerate(zip(campaign.routes, assignment.quotas, strict=True))
    ]
    campaigns.resolved(
        campaign_id,
        read_rows=audience.read,
        accepted=len(audience),
        rejected={reason.value: number for reason, number in audience.counts().items()},
        assigned=routes,
        digest=assignment.digest(audience.address_keys),
    )
    return routes


def _assigned(
    campaign: Campaign, audience: Audience, assignment: Assignment
) -> Iterator[pd.DataFrame]:
    names = np.array([route.connection for route in campaign.routes], dtype=object)
    start = 0
    for chunk in audience.chunks(assignment.order, _CHUNK_ROWS):
        end = start + len(chunk)
        connections = names[assignment.route[start:end]]
        yield chunk[["email", "variables"]].assign(connection=connections)
        start = end
