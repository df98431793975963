"""How the connections to one host share its sessions. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def host_remarks(name: str, most: int, others: Mapping[str, int | None]) -> list[str]:
    """Say how a connection shares the sessions of its host with others, in sentences.

    Args:
        name: The connection.
        most: Its `max_sessions_per_host`.
        others: The `max_sessions_per_host` of the other connections to the host, by name.
    """
    remarks = []
    counted = {name: most} | {other: number for other, number in others.items() if number}
    if len(counted) > 1:
        lowest = min(counted, key=lambda one: counted[one])
        differ = len({*counted.values()}) > 1
        why = f", the lowest max_sessions_per_host ({lowest})" if differ else ""
        remarks.append(
            f"The sessions of {', '.join(counted)} count together: at most {counted[lowest]} at"
            f" once{why}."
        )
    remarks += [
        f"{other} has the same host and no max_sessions_per_host: its sessions are not counted."
        for other, number in others.items()
        if not number
    ]
    return remarks
