"""Making a plan of a placement: the limit that binds each connection, and its end. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from mailsluice.assignment.placement import Placement
from mailsluice.campaign import Campaign
from mailsluice.campaign.estimate import Load
from mailsluice.limits import Bound, Limit, bounds
from mailsluice.operations.plan.plan import ASSUMED_PER_SESSION, ConnectionPlan, Plan
from mailsluice.operations.plan.provider_plan import ProviderPlan, moment_text
from mailsluice.operations.plan.providers import Hosted, provider_plans, with_providers
from mailsluice.smtp.connection import Connection

_LONG = timedelta(days=1)


def plan(
    campaign: Campaign,
    placement: Placement,
    connections: Mapping[str, Connection],
    *,
    read_rows: int,
    rejected: Mapping[str, int],
    held_back: Mapping[str, int],
    digest: str,
    starts_at: datetime,
    mail: Hosted | None = None,
) -> Plan:
    """Make the plan: numbers, the limit that binds each connection, and when it is done.

    `mail` counts the recipients by mailbox provider; None: the plan leaves providers out.
    """
    parts: list[ConnectionPlan] = []
    providers: list[ProviderPlan] = []
    for name in placement.connections:
        part = _connection_plan(campaign, placement, connections[name], starts_at)
        releases = _releases(placement, name, part.count, starts_at)
        mine = (
            provider_plans(campaign, placement, connections[name], part, releases, mail)
            if mail
            else []
        )
        parts.append(with_providers(part, mine))
        providers += mine
    return Plan(
        campaign=campaign.name,
        read_rows=read_rows,
        accepted=len(placement.assignment.order),
        rejected=rejected,
        held_back=held_back,
        digest=digest,
        connections=parts,
        providers=providers if mail and len(mail.names) > 1 else [],
        warm_ups=[said for warming in placement.warmings for said in warming.sentences()],
        warm_up_days=[day for warming in placement.warmings for day in warming.plan()],
        warnings=list(_warnings(campaign, placement, parts, starts_at)),
    )


def _connection_plan(
    campaign: Campaign, placement: Placement, connection: Connection, starts_at: datetime
) -> ConnectionPlan:
    name = connection.name
    count = placement.counts[name]
    load = Load(
        starts_at,
        _releases(placement, name, count, starts_at),
        _bounds(campaign, placement, connection),
        campaign.sending_window,
    )
    percents = dict(zip(placement.connections, placement.percents or (), strict=False))
    return ConnectionPlan(
        name,
        percents.get(name),
        placement.assigned[name],
        count,
        load.binding() if count else "",
        starts_at,
        load.ends_at(),
    )


def _releases(
    placement: Placement, name: str, count: int, starts_at: datetime
) -> list[tuple[datetime, int]]:
    for warming in placement.warmings:
        if warming.connection == name:
            (_, now), *later = warming.days
            begins = warming.warm_up.begins
            waiting = [(datetime.fromtimestamp(begins(day), UTC), number) for day, number in later]
            return [(starts_at, now), *waiting]
    return [(starts_at, count)]


def _bounds(campaign: Campaign, placement: Placement, connection: Connection) -> list[Bound]:
    speed = Limit(ASSUMED_PER_SESSION * connection.max_sessions, 1.0)
    limits = bounds(connection, campaign.throttle, placement.shares, connection.name)
    return limits or [Bound(speed, "assumed")]


def _warnings(
    campaign: Campaign, placement: Placement, parts: Sequence[ConnectionPlan], starts_at: datetime
) -> Iterator[str]:
    window = campaign.sending_window
    if not window.is_open(starts_at):
        yield f"the sending window is closed: it opens at {moment_text(window.opens_at(starts_at))}"
    for part in parts:
        if part.ends_at is None or part.ends_at - starts_at >= _LONG:
            yield (
                f"{part.connection} takes {part.lasts} for its {part.count:,} recipients:"
                f" it is bound by {part.binding}"
            )
        if not part.count and part.percent != 0:
            yield f"{part.connection} gets no recipient: the audience is too small for its share"
    for warming in placement.warmings:
        yield from warming.warnings()
