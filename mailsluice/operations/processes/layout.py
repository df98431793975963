"""Divide a campaign's connections among processes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailsluice.campaign.document import AUTO

_WORTHWHILE = 10_000
"""Recipients for whom one more process pays: starting it costs as much as sending to thousands."""


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a connection's sessions that one process has."""

    connection: str
    number: int
    """Counts from 1."""
    of: int
    """How many processes share the connection."""

    def sessions(self, max_sessions: int) -> int:
        """This part of so many sessions; together the parts have all of them, and one each."""
        whole, rest = divmod(max_sessions, self.of)
        return max(1, whole + (self.number <= rest))


def process_count(
    wanted: int | str, sessions: Mapping[str, int], *, cores: int, recipients: int
) -> int:
    """How many processes send: the campaign's `processes`, as far as it makes sense.

    No process is without a session. AUTO is one for each core, with enough recipients for each.

    Args:
        wanted: A number, or AUTO.
        sessions: Each connection's sessions.
        cores: The cores that this process may use.
        recipients: How many recipients are left.
    """
    if wanted == AUTO:
        wanted = min(cores, recipients // _WORTHWHILE)
    return max(1, min(int(wanted), sum(sessions.values())))


def laid_out(sessions: Mapping[str, int], processes: int) -> list[list[Part]]:
    """Give each process its parts: whole connections first, then parts of their sessions.

    Args:
        sessions: Each connection's sessions, by name.
        processes: How many processes there are, at most the number of all sessions.
    """
    if processes <= len(sessions):
        return _whole(sessions, processes)
    counts = dict.fromkeys(sessions, 1)
    for _ in range(processes - len(sessions)):
        divisible = [name for name in sessions if counts[name] < sessions[name]]
        if not divisible:
            break
        counts[max(divisible, key=lambda name: sessions[name] / counts[name])] += 1
    return [
        [Part(name, number, count)]
        for name, count in counts.items()
        for number in range(1, count + 1)
    ]


def _whole(sessions: Mapping[str, int], processes: int) -> list[list[Part]]:
    """Give each connection, the one with the most sessions first, to the least busy process."""
    parts: list[list[Part]] = [[] for _ in range(processes)]
    busy = [0] * processes
    for name in sorted(sessions, key=lambda name: -sessions[name]):
        least = busy.index(min(busy))
        parts[least].append(Part(name, 1, 1))
        busy[least] += sessions[name]
    return parts
