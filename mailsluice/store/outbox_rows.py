"""The values that the outbox exchanges with the sender: claims and outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mailsluice.core.status import RecipientStatus

EVERY_ID = 2**62
"""Above the id of every recipient."""


class ClaimScope(NamedTuple):
    """The part of a connection's recipients that a claim is for."""

    only: int | None = None
    """The number of the one mailbox provider; None: all providers."""
    without: frozenset[int] = frozenset()
    """The numbers of mailbox providers that are left out."""
    last_id: int = EVERY_ID
    """Recipients with a higher id are left out."""


EVERYBODY = ClaimScope()


class Claimed(NamedTuple):
    """A recipient that this process may send to: its row is `sending`."""

    id: int
    email: str
    variables: str
    """JSON object: column name to text."""
    attempts: int
    """Attempts made before this one."""
    age_seconds: float
    """Seconds since the first attempt; 0 before it."""
    provider: int = 0
    """The number of the mailbox provider in `Providers.of`; 0: unknown."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A recipient whose row is `sending`, when its process died or lost the database."""

    connection: str
    attempts: int
    """Attempts made before this one."""


@dataclass(frozen=True, slots=True)
class History:
    """An attempt that was not accepted, for the `attempts` table."""

    connection: str
    phase: str
    verdict: str


class Settled(NamedTuple):
    """The outcome for a claimed recipient."""

    id: int
    status: RecipientStatus
    attempts: int
    """Attempts made so far, including this one."""
    code: int | None = None
    reply: str | None = None
    delay_seconds: float | None = None
    """For `deferred`: seconds from now until the next attempt."""
    history: History | None = None
