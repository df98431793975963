"""A campaign in numbers, as its tables say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mailsluice.core.status import CampaignStatus


@dataclass(frozen=True, slots=True)
class StateTally:
    """The recipients of one connection in one state."""

    connection: str
    status: str
    """As stored, whatever that is."""
    recipients: int
    with_code: int
    with_next_attempt: int
    reassigned: int


@dataclass(frozen=True, slots=True)
class Tallies:
    """A campaign in numbers. No addresses."""

    campaign: str
    status: CampaignStatus
    is_held: bool
    """Whether a run holds the lease."""
    read_rows: int
    accepted: int
    rejected: Mapping[str, int]
    """By reason, as counted at launch."""
    stored_rejects: Mapping[str, int]
    """By reason, as stored."""
    assigned: Mapping[str, int]
    """Recipients given to each connection at launch."""
    moved: Mapping[tuple[str, str], int]
    """Recipients that were reassigned: (first connection, connection now) to how many."""
    states: tuple[StateTally, ...]
    unexplained_sent: int
    """`sent` without a reply's code and without history that says why."""
    repeated: int | None
    """Recipients beyond the first of each address; None: not looked for."""
    stray_attempts: int
    """History rows of recipients that do not exist, of any campaign."""

    @property
    def stored(self) -> int:
        """Recipients stored, in whatever state."""
        return sum(one.recipients for one in self.states)

    def by_status(self) -> dict[str, int]:
        """Recipients by state."""
        found: dict[str, int] = {}
        for one in self.states:
            found[one.status] = found.get(one.status, 0) + one.recipients
        return found

    def by_connection(self) -> dict[str, int]:
        """Recipients by the connection they are on now."""
        found: dict[str, int] = {}
        for one in self.states:
            found[one.connection] = found.get(one.connection, 0) + one.recipients
        return found
