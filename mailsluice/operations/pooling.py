"""The computed shares of a campaign whose connections claim from a pool (strategy `throughput`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

from mailsluice.assignment.capacities import Capacity, computed_shares
from mailsluice.campaign import Campaign, Strategy
from mailsluice.campaign.estimate import ASSUMED_PER_SESSION
from mailsluice.campaign.warm_up import OverCap, WarmUp
from mailsluice.limits import QuotaUse, Rules, limits
from mailsluice.limits.apportionment import quotas
from mailsluice.smtp.connection import Connection

_MILLIONTHS = 100_000_000
"""The whole in millionths of a percent, the precision of a computed share."""


def computed_percents(
    campaign: Campaign,
    connections: Mapping[str, Connection],
    recipients: int,
    starts_at: datetime,
    quota_uses: Mapping[str, Sequence[QuotaUse]] = MappingProxyType({}),
) -> dict[str, Decimal]:
    """Return the share of each route in percent, to the millionth; together exactly 100.

    Connections that are not given have equal shares of what is known of none. `quota_uses` are the
    quotas by the calendar, of the connections that have any.
    """
    names = [route.connection for route in campaign.routes]
    known = {name: connections[name] for name in names if name in connections}
    if len(known) == len(names):
        capacities = {name: _capacity(known[name], quota_uses.get(name, ())) for name in names}
        pace = Rules(limits(campaign.throttle)).per_second
        shares = computed_shares(capacities, recipients, starts_at, campaign.sending_window, pace)
    else:
        shares = campaign.shares(starts_at.date())
    parts = quotas(_MILLIONTHS, [shares[name] for name in names])
    return {name: Decimal(part) / 1_000_000 for name, part in zip(names, parts, strict=True)}


def as_if_assigned(campaign: Campaign, percents: Mapping[str, Decimal]) -> Campaign:
    """The campaign with its computed shares as percentages, for a plan."""
    routes = tuple(
        route.model_copy(update={"percent": percents[route.connection]})
        for route in campaign.routes
    )
    return campaign.model_copy(update={"strategy": Strategy.PERCENTAGE, "routes": routes})


def without_spill(warm_up: WarmUp) -> WarmUp:
    """The warm-up with its caps alone: what is over them stays in the pool."""
    return warm_up.model_copy(update={"over_cap": OverCap.HOLD, "spill_to": None})


def _capacity(connection: Connection, quota_uses: Sequence[QuotaUse]) -> Capacity:
    pace = Rules(limits(connection)).per_second
    assumed = ASSUMED_PER_SESSION * connection.max_sessions
    return Capacity(assumed if pace == math.inf else pace, connection.warm_up, quota_uses)
