"""How much of a connection's limits is used, and messages that others sent under its quota."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from mailsluice.core.errors import CampaignError
from mailsluice.delivery.rule_book import own_key
from mailsluice.limits import CalendarLimit, QuotaUse, Rules, Unit, Usage, calendar_limits, limits
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database, Usages


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A limit, and the messages that count under it now."""

    limit: str
    used: int
    allowed: int
    resets_at: datetime | None
    """When the period of a quota ends; None: a trailing window."""


def quota_uses(
    database: Database, connections: Mapping[str, Connection], moment: datetime
) -> dict[str, list[QuotaUse]]:
    """Return the use of each connection's quotas in their periods at a moment. Blocking."""
    keys = {
        name: own_key(name)
        for name, connection in connections.items()
        if calendar_limits(connection)
    }
    usages, _ = Usages(database).read(keys.values()) if keys else ({}, 0.0)
    return {
        name: [_use(usages[key], limit, moment) for limit in calendar_limits(connections[name])]
        for name, key in keys.items()
    }


def _use(usage: Usage, limit: CalendarLimit, moment: datetime) -> QuotaUse:
    start, end = limit.period(moment.timestamp())
    return QuotaUse(limit, usage.dated.within(start, end), end)


def limit_uses(database: Database, connection: Connection) -> list[LimitUse]:
    """Return the use of each limit of a connection now, of all campaigns together. Blocking."""
    key = own_key(connection.name)
    usages, now = Usages(database).read([key])
    usage, trailing = usages[key], limits(connection)
    usage.expire(now, Rules(trailing, (), calendar_limits(connection)))
    return [*_uses(usage, connection, now)]


def _uses(usage: Usage, connection: Connection, now: float) -> Iterator[LimitUse]:
    for limit in limits(connection):
        replies = usage.replied.get(limit.window_seconds)
        used = usage.open_starts + (replies.total if replies else 0)
        yield LimitUse(str(limit).split()[0], used, limit.count, None)
    for quota in calendar_limits(connection):
        start, end = quota.period(now)
        name = "per_month" if quota.unit is Unit.MONTH else "per_calendar_day"
        used = usage.open_starts + usage.dated.within(start, end)
        yield LimitUse(name, used, quota.count, datetime.fromtimestamp(end, UTC))


def set_used_this_month(database: Database, connection: Connection, used: int) -> None:
    """Let so many messages count in this month's quota, as the provider says. Blocking.

    Messages that other programs sent over the connection count from the month's beginning, so that
    they do not use up the daily quota of another day. Raises CampaignError where there is no
    monthly quota.
    """
    monthly = [limit for limit in calendar_limits(connection) if limit.unit is Unit.MONTH]
    if not monthly:
        raise CampaignError(
            f"connection {connection.name!r} has no monthly quota: set per_month in its block"
        )
    if used < 0:
        raise CampaignError(f"{used} messages cannot have been sent: give 0 or more")
    usages = Usages(database)
    with database.write() as transaction:
        period = monthly[0].period(database.moment().timestamp())
        usages.correct(transaction, own_key(connection.name), period, used)
