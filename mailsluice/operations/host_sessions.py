"""The sessions of several connections to one host, in a run without Prefect's limits. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from mailsluice.core.errors import CampaignError
from mailsluice.limits.apportionment import quotas
from mailsluice.smtp.connection import Connection


def divided(connections: Iterable[Connection]) -> list[Connection]:
    """Divide the sessions of each host among the connections that have a limit for it.

    Each gets one session, and of the others its part by `max_sessions`; the lowest limit of the
    connections binds. Raises CampaignError where a host has fewer sessions than connections.
    """
    known = {connection.name: connection for connection in connections}
    hosts: dict[str, list[Connection]] = {}
    for connection in known.values():
        if connection.max_sessions_per_host:
            hosts.setdefault(connection.host_key, []).append(connection)
    for sharing in hosts.values():
        most = min(connection.max_sessions_per_host or 1 for connection in sharing)
        if most < len(sharing):
            names = ", ".join(connection.name for connection in sharing)
            raise CampaignError(
                f"{names} share the host {sharing[0].host}, with max_sessions_per_host {most}:"
                " raise it, or send over fewer of them"
            )
        parts = quotas(most - len(sharing), [Decimal(one.max_sessions) for one in sharing])
        for connection, part in zip(sharing, parts, strict=True):
            sessions = min(connection.max_sessions, 1 + part)
            known[connection.name] = replace(connection, max_sessions=sessions)
    return [*known.values()]
