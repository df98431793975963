"""Launching a campaign: read its recipients, assign connections, store them. Nothing is sent.

Functions import numpy, pandas and pyarrow when a launch needs them, because these take half as long
to load as Prefect. A process that continues a campaign, or sends a part of one, needs none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from mailsluice.audience.engines import Connect
from mailsluice.audience.remote.storage import NO_STORAGES, Storages
from mailsluice.campaign import Campaign, SenderIdentity, Strategy
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.errors import MessageError
from mailsluice.core.memory import return_memory
from mailsluice.core.status import CampaignStatus
from mailsluice.message import CompiledMessage, attachment_digests, compile_message
from mailsluice.message.variables import column_names
from mailsluice.smtp.connection import Connection
from mailsluice.store import (
    CampaignRecord,
    Campaigns,
    Database,
    Launches,
    RouteRecord,
    Suppressions,
    Transaction,
    WarmUps,
)

if TYPE_CHECKING:
    from mailsluice.assignment.assignment import Assignment
    from mailsluice.assignment.placement import Placement
    from mailsluice.assignment.warming import WarmUpState
    from mailsluice.audience.resolved import Audience
    from mailsluice.operations.affinity import Remembered


_NO_IDENTITY = SenderIdentity()


def content(campaign: Campaign) -> dict[str, Any]:
    """The content that identifies the campaign, with digests of attached files, as JSON values."""
    return {**campaign.content(), "attachments": attachment_digests(campaign.message)}


def identities(campaign: Campaign, connections: Iterable[Connection]) -> dict[str, SenderIdentity]:
    """Return who the campaign's mail is from on each connection: those given, and the routes'."""
    return campaign.identities({one.name: one.identity for one in connections})


def messages(
    campaign: Campaign,
    columns: Iterable[str],
    identities: Mapping[str, SenderIdentity],
    return_key: str | None = None,
) -> dict[str, CompiledMessage]:
    """Compile the campaign's message for each connection, see `compiled`.

    Connections with equal identities share one compiled message. Raises MessageError, which names
    the connection if it has an identity.
    """
    columns, by_identity = tuple(columns), dict[SenderIdentity, CompiledMessage]()
    for connection, identity in identities.items():
        if identity in by_identity:
            continue
        try:
            by_identity[identity] = compiled(campaign, columns, return_key, identity)
        except MessageError as error:
            if not identity.given():
                raise
            raise MessageError(f"with the identity of {connection!r}: {error}") from None
    return {connection: by_identity[identity] for connection, identity in identities.items()}


def compiled(
    campaign: Campaign,
    columns: tuple[str, ...] | list[str],
    return_key: str | None = None,
    identity: SenderIdentity = _NO_IDENTITY,
) -> CompiledMessage:
    """Compile the campaign's message for an audience with these columns, and for an identity.

    `return_key` is the secret in the campaign's record that makes return paths and Message-IDs.
    Without it, messages have no return paths of their own.
    """
    return compile_message(
        campaign.message,
        campaign=campaign.name,
        columns=columns,
        now=partial(datetime.now, UTC),
        return_key=return_key,
        identity=identity,
    )


def resolve_audience(
    campaign: Campaign,
    database: Database,
    connect: Connect,
    identities: Mapping[str, SenderIdentity] | None = None,
    storages: Storages = NO_STORAGES,
) -> Audience:
    """Read the campaign's recipients, without excluded and suppressed addresses.

    Domains are looked up as the campaign says, which takes a minute at most.
    The message is compiled for the columns that were read, with each of the `identities` (by
    default, those of the routes), so that a template with a wrong name stops the campaign here. The
    caller closes the audience. Raises AudienceError or MessageError.
    """
    from mailsluice.audience.resolution import resolve
    from mailsluice.operations.mail_hosts import hosted
    from mailsluice.operations.suppression.lookup import Lookup

    audience = resolve(
        campaign.recipient_sources,
        exclude=campaign.excluded_sources,
        suppressed=Lookup(Suppressions(database)),
        hosted=hosted(database, campaign.resolve),
        connect=connect,
        storages=storages,
        order_by=campaign.order_by,
        window=campaign.sending_window,
    )
    try:
        messages(campaign, audience.columns, identities or campaign.identities({}))
    except MessageError as error:
        audience.close()
        raise MessageError(f"{error}{_about_left_out(audience, str(error))}") from None
    except BaseException:
        audience.close()
        raise
    return audience


def _about_left_out(audience: Audience, error: str) -> str:
    """Say that a variable that an error names is missing because its column is not text."""
    for slug, column in column_names(audience.left_out).items():
        if repr(slug) in error:
            return f". The column {column!r} was left out, since its values are not text"
    return ""


@dataclass(frozen=True, slots=True)
class Occasion:
    """The time of a launch, and the warm-ups of the campaign's connections."""

    day: date
    """The day that the run was scheduled for, which decides growing shares."""
    moment: datetime
    """The time of the database's clock, which decides the day of a warm-up."""
    warm_ups: Mapping[str, WarmUp] = field(default_factory=dict)
    """By connection, for those of the routes and those that they spill to."""
    connections: Mapping[str, Connection] = field(default_factory=dict)
    """The routes' connections, whose limits decide the shares of the strategy `throughput`."""


def decide(
    database: Database, campaign: Campaign, audience: Audience, occasion: Occasion
) -> Placement:
    """Assign a connection and a day to every recipient, as a launch on this occasion would.

    Nothing is stored. Raises CampaignError when a warm-up is impossible for this campaign.
    """
    from mailsluice.operations.affinity import remembered

    assignment = _assignment(campaign, audience, occasion, remembered(database, campaign, audience))
    record = Campaigns(database).find(campaign.name)
    with database.read() as connection:
        placement, _ = _placed(
            WarmUps(database),
            connection,
            record.id if record else None,
            campaign,
            assignment,
            audience,
            occasion,
        )
    return placement


def forget(audience: Audience) -> None:
    """Close an audience and return its memory to the system; sending needs neither. Blocking."""
    audience.close()
    return_memory(audience.read)


def launched_before(database: Database, campaign: Campaign) -> CampaignRecord | None:
    """The record of the campaign if it was launched before, so that a run continues it.

    Raises CampaignDiffersError when it was launched with other content.
    """
    campaigns, known = Campaigns(database), content(campaign)
    if campaigns.find(campaign.name) is None:
        campaigns.refuse_alike(campaign.name)
        return None
    record = campaigns.register(campaign.name, known)  # the campaign exists, so nothing is written
    return None if record.status is CampaignStatus.RESOLVING else record


def store_audience(
    database: Database,
    campaign_id: int,
    campaign: Campaign,
    audience: Audience,
    occasion: Occasion,
) -> Placement:
    """Assign a connection and a day to every recipient, and store all recipients in send order.

    The campaign can be sent afterwards. Its shares and days are recorded and stay, however long the
    campaign takes. Raises CampaignError when a warm-up is impossible for this campaign.
    """
    from mailsluice.operations.placed_rows import canary_of, counted, placed

    placement = _planned(database, campaign_id, campaign, audience, occasion)
    percent = campaign.canary.percent
    first = canary_of(audience, placement, percent) if percent else None
    launches = Launches(database)
    launches.store_audience(campaign_id, placed(audience, placement, first), audience.rejects())
    launches.finish(
        campaign_id,
        read_rows=audience.read,
        accepted=len(audience),
        rejected={reason.value: number for reason, number in audience.counts().items()},
        assigned=_pool_routes(database, campaign, len(audience), occasion)
        if campaign.strategy is Strategy.THROUGHPUT
        else _routes(placement),
        digest=placement.digest(audience.address_keys),
        held_back=audience.held_back(),
        moved=placement.moved,
        providers=audience.hosted(),
        canaries={} if first is None else counted(first, placement),
        sources=audience.sources(),
        zones=audience.zones.counts if audience.zones else {},
    )
    Campaigns(database).set_status(campaign_id, CampaignStatus.SENDING)  # by the launching run
    return placement


def _assignment(
    campaign: Campaign, audience: Audience, occasion: Occasion, memory: Remembered | None
) -> Assignment:
    from mailsluice.assignment.assignment import assign

    return assign(
        audience.address_keys,
        audience.domain_keys,
        campaign,
        occasion.day,
        audience.providers,
        audience.ranking.by_recipient if audience.ranking else None,
        memory.routes if memory else None,
    )


def _planned(
    database: Database,
    campaign_id: int,
    campaign: Campaign,
    audience: Audience,
    occasion: Occasion,
) -> Placement:
    """Assign recipients, apply the warm-ups and reserve what is left of their caps.

    The caps, and the memory of an affinity group, change in one transaction. When another campaign
    of the group was launched since the memory was read, the recipients are assigned again.
    """
    from mailsluice.operations.affinity import remembered

    warm_ups = WarmUps(database)
    while True:
        memory = remembered(database, campaign, audience)
        assignment = _assignment(campaign, audience, occasion, memory)
        with database.write() as transaction:
            if memory and not memory.update(
                database, transaction, campaign_id, audience, assignment
            ):
                continue
            warm_ups.lock(transaction)
            placement, states = _placed(
                warm_ups, transaction, campaign_id, campaign, assignment, audience, occasion
            )
            warm_ups.record(transaction, campaign_id, placement.warmings, states)
        return placement


def _placed(
    warm_ups: WarmUps,
    connection: Transaction,
    campaign_id: int | None,
    campaign: Campaign,
    assignment: Assignment,
    audience: Audience,
    occasion: Occasion,
) -> tuple[Placement, dict[str, WarmUpState]]:
    """Apply the warm-ups; returns their states too."""
    from mailsluice.assignment.placement import Hosts, place

    names = audience.provider_names
    states = warm_ups.states(connection, campaign_id, occasion.warm_ups, occasion.moment, names)
    hosts = Hosts(audience.providers, names)
    return place(campaign, assignment, occasion.day, states, hosts), states


def _pool_routes(
    database: Database, campaign: Campaign, recipients: int, occasion: Occasion
) -> list[RouteRecord]:
    """The routes of a campaign with a pool: nobody is assigned, and the shares are computed."""
    from mailsluice.operations.pooling import computed_percents
    from mailsluice.operations.quotas import quota_uses

    known, moment = occasion.connections, occasion.moment
    uses = quota_uses(database, known, moment)
    percents = computed_percents(campaign, known, recipients, moment, uses)
    return [RouteRecord(name, f"{percent:f}", 0) for name, percent in percents.items()]


def _routes(placement: Placement) -> list[RouteRecord]:
    """The routes, then the connections that only take over recipients and have no share."""
    taking_over = len(placement.connections) - len(placement.assignment.quotas)
    percents = [*(placement.percents or [None] * len(placement.assignment.quotas))]
    percents += [Decimal(0)] * taking_over
    return [
        RouteRecord(name, None if percent is None else str(percent), assigned)
        for (name, assigned), percent in zip(placement.assigned.items(), percents, strict=True)
    ]
