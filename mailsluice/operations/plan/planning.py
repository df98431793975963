"""Making a plan of a placement: the limit that binds each connection, and its end. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from mailsluice.assignment.placement import Placement
from mailsluice.campaign import Approval, Campaign, DownPolicy
from mailsluice.campaign.estimate import ASSUMED_PER_SESSION, Load
from mailsluice.campaign.policies import Resolve
from mailsluice.campaign.provider_entry import EVERY, ProviderEntry
from mailsluice.limits import ASSUMED, Bound, Limit, QuotaUse, bounds
from mailsluice.mailbox_providers import UNRESOLVED, is_known_by_domain, title_of
from mailsluice.operations.plan.finishing import finish_plan
from mailsluice.operations.plan.plan import ConnectionPlan, Plan
from mailsluice.operations.plan.provider_plan import ProviderPlan, moment_text
from mailsluice.operations.plan.providers import (
    Hosted,
    provider_plans,
    released,
    with_providers,
)
from mailsluice.operations.plan.zone_plan import zone_plan
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
    zones: Hosted | None = None,
    quotas: Mapping[str, Sequence[QuotaUse]] = MappingProxyType({}),
) -> Plan:
    """Make the plan: numbers, the limit that binds each connection, and when it is done.

    `mail` counts the recipients by mailbox provider; None: the plan leaves providers out. `zones`
    counts them by time zone, where the sending window applies in each recipient's own. `quotas` are
    those of the connections that have any.
    """
    parts: list[ConnectionPlan] = []
    providers: list[ProviderPlan] = []
    loads = {
        name: replace(
            _load(campaign, placement, connections[name], starts_at), quotas=quotas.get(name, ())
        )
        for name in placement.connections
    }
    if zones:
        loads = {
            name: replace(load, zones=dict(zip(zones.names, counts.tolist(), strict=True)))
            for (name, load), counts in zip(loads.items(), zones.counts, strict=True)
        }
    for name, load in loads.items():
        mine = provider_plans(campaign, placement, connections[name], load, mail) if mail else []
        is_standby = name in campaign.standbys
        part = _connection_plan(placement, name, load, is_standby=is_standby)
        parts.append(with_providers(part, mine))
        providers += mine
    late: list[str] = []
    finish = finish_plan(campaign, starts_at)
    if finish:
        late = [*finish.warnings(parts, loads, providers, placement.shares)]
        parts = [finish.spread(part) for part in parts]
        providers = [finish.spread_provider(part) for part in providers]
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
        warnings=[
            *late,
            *_warnings(campaign, placement, parts, starts_at),
            *_unseen(campaign, [connections[name] for name in placement.connections]),
        ],
        affinity=placement.assignment.affinity,
        canary=_canary(campaign),
        finish=finish.sentence(campaign, parts) if finish else "",
        quotas=[*_quotas(parts, quotas)],
        lending=_lending(campaign, placement),
        zones=zone_plan([*loads.values()], campaign.sending_window.timezone or "UTC"),
        failover=_failover(campaign),
    )


def _canary(campaign: Campaign) -> str:
    canary = campaign.canary
    if not canary:
        return ""
    approval = "" if canary.approve is Approval.AUTO else " and an operator's approval"
    return (
        f"The canary goes first, {canary.percent} % of each mailbox provider on each connection."
        f" The rest follows after {canary.wait_minutes} minutes{approval}, which the times leave"
        " out"
    )


def _failover(campaign: Campaign) -> str:
    """Say which connections take over, and from when on."""
    if campaign.on_connection_down is not DownPolicy.REASSIGN or len(campaign.routes) == 1:
        return ""
    takers = "the others"
    if campaign.standbys:
        takers = ", or where that is down as well to ".join(campaign.standbys)
    return (
        f"When a connection is down{_rest(campaign.reassign_after_minutes)}, its recipients that"
        f" were not tried yet go to {takers}"
    )


def _rest(minutes: int | None) -> str:
    """Say after which rest recipients move, too."""
    if not minutes:
        return "" if minutes is None else " or rests after failures"
    return f" or has rested for {'a minute' if minutes == 1 else f'{minutes:,} minutes'}"


def _quotas(
    parts: Sequence[ConnectionPlan], quotas: Mapping[str, Sequence[QuotaUse]]
) -> Iterator[str]:
    """Say how much of each quota is used, and how many recipients it has room for."""
    for part in parts:
        for quota in quotas.get(part.connection, ()):
            fitting = min(part.count, quota.room)
            resets = moment_text(datetime.fromtimestamp(quota.ends_at, UTC))
            yield (
                f"{part.connection}: {quota.used:,} of {quota.limit} are used; {fitting:,} of its"
                f" {part.count:,} recipients fit until {resets}"
            )


def _lending(campaign: Campaign, placement: Placement) -> str:
    lenders = campaign.lenders
    if not lenders:
        return ""
    warming = {warming.connection for warming in placement.warmings}
    most = {
        name: int(assigned * campaign.max_shift_percent / 100)
        for name, assigned in placement.assigned.items()
        if name not in warming and lenders != [name]
    }
    parts = ", ".join(f"{number:,} of {name}'s" for name, number in most.items() if number)
    return (
        f"When {' or '.join(lenders)} has room, recipients of connections that would end later may"
        f" go there: at most {parts or 'none'} ({campaign.max_shift_percent:f} %). The times leave"
        " that out"
    )


def _connection_plan(
    placement: Placement, name: str, load: Load, *, is_standby: bool
) -> ConnectionPlan:
    count = placement.counts[name]
    percents = dict(zip(placement.connections, placement.percents or (), strict=False))
    return ConnectionPlan(
        name,
        percents.get(name),
        placement.assigned[name],
        count,
        load.binding() if count else "",
        load.starts_at,
        load.ends_at(),
        is_standby=is_standby,
    )


def _load(
    campaign: Campaign, placement: Placement, connection: Connection, starts_at: datetime
) -> Load:
    at_once = [(starts_at, placement.counts[connection.name])]
    releases = next(
        (
            released(warming, starts_at)
            for warming in placement.warmings
            if warming.connection == connection.name
        ),
        at_once,
    )
    bounds = _bounds(campaign, placement, connection)
    return Load(starts_at, releases, bounds, campaign.sending_window)


def _bounds(campaign: Campaign, placement: Placement, connection: Connection) -> list[Bound]:
    speed = Limit(ASSUMED_PER_SESSION * connection.max_sessions, 1.0)
    limits = bounds(connection, campaign.throttle, placement.shares, connection.name)
    return limits or [Bound(speed, ASSUMED)]


def _warnings(
    campaign: Campaign, placement: Placement, parts: Sequence[ConnectionPlan], starts_at: datetime
) -> Iterator[str]:
    window = campaign.sending_window
    if not window.in_own_zones and not window.is_open(starts_at):
        yield f"the sending window is closed: it opens at {moment_text(window.opens_at(starts_at))}"
    for part in parts:
        takes_long = part.ends_at is None or part.ends_at - starts_at >= _LONG
        if takes_long and not campaign.is_paced:
            yield (
                f"{part.connection} takes {part.lasts} for its {part.count:,} recipients:"
                f" it is bound by {part.binding}"
            )
        if not part.count and part.percent != 0 and not part.is_standby:
            yield f"{part.connection} gets no recipient: the audience is too small for its share"
    for warming in placement.warmings:
        yield from warming.warnings()


def _unseen(campaign: Campaign, connections: Sequence[Connection]) -> Iterator[str]:
    """Warn of limits for providers that a campaign without look-ups cannot tell from others."""
    if campaign.resolve is not Resolve.OFF:
        return
    limited: list[tuple[str, Sequence[ProviderEntry]]] = [("the campaign", campaign.per_provider)]
    limited += [(one.name, one.per_provider) for one in connections]
    limited += [(f"the warm-up of {one.name}", one.warm_up.per_provider) for one in connections]
    for whose, entries in limited:
        names = [entry.provider for entry in entries if entry.provider not in (EVERY, UNRESOLVED)]
        unseen = [name for name in names if not is_known_by_domain(name)]
        if unseen:
            yield (
                f"the limits of {whose} for {', '.join(map(title_of, unseen))} apply to no mail:"
                " without look-ups, only domains of consumer mailboxes have a provider; set"
                " resolve to mx"
            )
