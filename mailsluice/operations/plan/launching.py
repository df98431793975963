"""Planning a launch with the code of the launch itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mailsluice.audience.resolved import Audience
from mailsluice.campaign import Campaign, Strategy
from mailsluice.operations import launch
from mailsluice.operations.finish import refuse_impossible
from mailsluice.operations.identities import identity_warnings, shown_identities
from mailsluice.operations.plan.domains import begin_domain_check
from mailsluice.operations.plan.inspecting import LOOKED_AT, check_message
from mailsluice.operations.plan.plan import Plan
from mailsluice.operations.plan.planning import plan
from mailsluice.operations.plan.providers import hosted
from mailsluice.operations.pooling import as_if_assigned, computed_percents, without_spill
from mailsluice.operations.preview.rendering import message_preview
from mailsluice.operations.processes import cores, process_count
from mailsluice.operations.quotas import quota_uses
from mailsluice.operations.sizes import size_warnings
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database

_POOLING = (
    "No recipient is assigned before it is claimed: each connection claims what it can send. The"
    " shares above are computed from the limits, so that all connections end together"
)


def plan_launch(
    document: Campaign,
    database: Database,
    audience: Audience,
    connections: Mapping[str, Connection],
    occasion: launch.Occasion,
) -> Plan:
    """Decide everything as a launch on this occasion would, without storing anything.

    Raises CampaignError when the campaign could not be launched.
    """
    record = launch.launched_before(database, document)
    if record is None:
        refuse_impossible(document, occasion.moment)
    quotas = quota_uses(database, connections, occasion.moment)
    digest, pooling = None, ""
    if document.strategy is Strategy.THROUGHPUT:
        pool = launch.decide(database, document, audience, occasion)
        digest, pooling = pool.digest(audience.address_keys), _POOLING
        percents = computed_percents(document, connections, len(audience), occasion.moment, quotas)
        document = as_if_assigned(document, percents)
        caps = {name: without_spill(warm_up) for name, warm_up in occasion.warm_ups.items()}
        occasion = replace(occasion, warm_ups=caps)
    placement = launch.decide(database, document, audience, occasion)
    identities = launch.identities(document, connections.values())
    shown = shown_identities(document.message, identities, placement.connections)
    domain_warnings = begin_domain_check(shown, connections)
    routes, _ = placement.moves()
    zones = audience.zones
    planned = plan(
        document,
        placement,
        connections,
        read_rows=audience.read,
        rejected={reason.value: number for reason, number in audience.counts().items()},
        held_back=audience.held_back(),
        digest=digest or placement.digest(audience.address_keys),
        starts_at=occasion.moment,
        mail=hosted(routes, placement, audience.providers, audience.provider_names),
        zones=hosted(routes, placement, zones.numbers, [*zones.counts]) if zones else None,
        quotas=quotas,
    )
    processes = process_count(
        document.processes,
        {route.connection: connections[route.connection].max_sessions for route in document.routes},
        cores=cores(),
        recipients=planned.accepted,
    )
    over = [placement.connections[route] for route in routes[:LOOKED_AT]]
    check = check_message(document, audience, placement.assignment.order, over, identities)
    first = check.preview.size_bytes if check.preview else 0
    about_size = size_warnings(document, connections, first)
    warnings = [
        *planned.warnings,
        *identity_warnings(shown),
        *check.warnings,
        *about_size,
        *domain_warnings(),
    ]
    if record is not None:
        warnings.insert(
            0,
            f"a campaign of this name was launched before and is {record.status.value}: a run"
            f" continues it with the assignment of that launch, digest {record.assignment_digest},"
            " and with the identities below for the mail that is still to be sent",
        )
    return replace(
        planned,
        warnings=warnings,
        identities=shown,
        preview=check.preview,
        messages=message_preview(
            document,
            audience,
            placement.assignment.order,
            lambda place: placement.connections[routes[place]],
            identities,
        ),
        processes=processes,
        pooling=pooling,
        sources=audience.sources(),
        look_ups=str(audience.look_ups or "").capitalize(),
    )
