"""The condition that keeps a connection from sending now. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mailsluice.core.masking import masked
from mailsluice.core.timezones import shown

_FEW = 3
_BARE_SECONDS = 10.0
"""A limit that delays the next message by less than this sets the pace; the end of the wait is
not shown."""


class Cause(StrEnum):
    """A condition that a connection waits for, with the sentence that says so."""

    STARTING = "starts"
    DONE = "done"
    STANDBY = "done, and ready to take over from other connections"
    STOPPED = "stopped"
    QUARANTINED = "quarantined: {detail}"
    """This run gave the connection up."""
    HELD = "held: waits for a decision"
    """The stop-loss or the canary has found something."""
    PAUSED = "paused: waits for Resume"
    DATABASE_AWAY = "the state database is away"
    WINDOW = "waits for its sending window{until}"
    ZONE = "waits for {detail}"
    """The window opens next in one of the recipients' time zones."""
    CANARY = "waits for the judgement of its canary{until}"
    DEFERRED = "waits for deferred recipients{until}"
    POOL = "waits for recipients from the pool"
    """Other connections have claimed the rest, and may return some."""
    LAST_REPLIES = "waits for the last replies"
    RETRYING = "connects again{until}: {detail}"
    """After a failure, soon."""
    RESTING = "rests{until}: {detail}"
    """After too many failures; the next try is with one session."""
    SLOWED = "slowed down at the server's request{until}: {detail}"
    LIMIT = "held by {detail}{until}"
    PACED = "spread evenly, {detail}{until}"
    """The campaign's finish time sets the pace."""
    PROVIDERS = "waits for mailbox providers{until}: {detail}"
    """No other recipient can be sent to soon."""
    CONNECTING = "waits for a session"
    FREE = "sends as fast as it can"


TROUBLES = (Cause.QUARANTINED, Cause.RESTING, Cause.RETRYING)
"""Causes whose detail is the server's text."""


@dataclass(frozen=True, slots=True)
class Binding:
    """The condition that a connection waits for, without addresses."""

    cause: Cause
    detail: str = ""
    until: datetime | None = None
    """The end of the wait; None when it is unknown or immediate."""
    held: str = ""
    """The mailbox providers whose mail waits meanwhile, each with the reason."""

    def sentence(self, moment: datetime, timezone: str = "UTC") -> str:
        """The sentence at an aware moment, with times in the time zone."""
        until = f" until {shown(self.until, moment, timezone)}" if self.until else ""
        sentence = self.cause.value.format(detail=self.detail, until=until)
        return f"{sentence}; held: {self.held}" if self.held else sentence


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """The state of one connection at one moment.

    Moments are in seconds of the connection sender's clock; infinity means never.
    """

    is_stopping: bool = False
    is_over: bool = False
    """No recipient waits for mail, and no message is in flight."""
    may_receive: bool = False
    """Whether recipients of other connections may still come."""
    is_held: bool = False
    """Whether nothing is sent until an operator has decided."""
    zone: str = ""
    """The time zone whose sending window opens next, where recipients have zones of their own."""
    waits_for_canary: bool = False
    """Whether the recipients beyond a canary wait for the decision about it."""
    down: str | None = None
    is_on_hold: bool = False
    is_database_away: bool = False
    opens_at: float = -math.inf
    """When the sending window opens."""
    has_pool: bool = False
    """Whether recipients are claimed from a pool, as far as they can be sent to soon."""
    in_stock: int = 1
    """Claimed recipients that wait to be sent to."""
    due_at: float = -math.inf
    """When the outbox may have more recipients; with a pool, when a deferred one is due."""
    in_flight: int = 0
    sessions: int = 1
    """Sessions that are logged in."""
    session_at: float = -math.inf
    """When a session may be opened after failures."""
    is_resting: bool = False
    trouble: str = ""
    """The last failure, in words."""
    slowed_until: float = -math.inf
    """When the next message may start after the server asked for less; `per_second` is the pace."""
    per_second: float | None = None
    limited_until: float = -math.inf
    """When the next message may start under the limits; `limit` is the one that decides."""
    limit: str = ""
    is_paced: bool = False
    """Whether `limit` is no limit, but the even pace towards the campaign's finish time."""
    held: Sequence[str] = ()
    """The mailbox providers whose mail waits, each with the reason."""
    waiting: tuple[int, ...] = ()
    """The numbers of these providers."""
    held_until: float = -math.inf
    """When the first of them goes on, if nobody else has mail waiting."""


def binding(facts: ConnectionFacts, now: float, moment: datetime) -> Binding:
    """Decide what the connection waits for; `moment` is the wall-clock time of `now`."""
    later = _Later(now, moment)
    if cause := _ended(facts) or _not_allowed(facts):
        return Binding(cause, masked(facts.down or ""))
    if facts.opens_at > now:
        return later(Cause.WINDOW, facts.opens_at)
    lacks = _lacking(facts, later) if not facts.in_stock and facts.due_at > now else None
    if facts.has_pool:  # a connection that cannot send takes no recipients: the delay comes first
        return _delayed(facts, later) or lacks or _free(facts)
    return lacks or _delayed(facts, later) or _free(facts)


@dataclass(frozen=True, slots=True)
class _Later:
    """Makes the bindings that end at a moment of the connection sender's clock."""

    now: float
    moment: datetime

    def __call__(self, cause: Cause, at: float, detail: str = "", least: float = 0.0) -> Binding:
        seconds = at - self.now
        is_told = least < seconds < math.inf
        return Binding(cause, detail, self.moment + timedelta(seconds=seconds) if is_told else None)


def _lacking(facts: ConnectionFacts, later: _Later) -> Binding:
    """Say what the connection waits for that has no recipients."""
    if facts.due_at == math.inf:
        nobody = Cause.POOL if facts.has_pool else Cause.FREE
        return Binding(Cause.LAST_REPLIES if facts.in_flight else nobody)
    return later(_lacks(facts), facts.due_at, facts.zone)


def _delayed(facts: ConnectionFacts, later: _Later) -> Binding | None:
    """Say what delays the next message, whoever it is for."""
    now = later.now
    if facts.session_at > now and not (
        facts.sessions and facts.slowed_until < facts.session_at
    ):  # all sessions wait, or there is none
        cause = Cause.RESTING if facts.is_resting else Cause.RETRYING
        return later(cause, facts.session_at, masked(facts.trouble))
    if facts.per_second is not None and facts.slowed_until > max(now, facts.limited_until):
        pace = f"{facts.per_second:,.3g}/s"
        return later(Cause.SLOWED, facts.slowed_until, pace, _BARE_SECONDS)
    if facts.limited_until > now and facts.limit:
        cause = Cause.PACED if facts.is_paced else Cause.LIMIT
        return later(cause, facts.limited_until, facts.limit, _BARE_SECONDS)
    if facts.held and facts.held_until > now:
        return later(Cause.PROVIDERS, facts.held_until, _named(facts.held))
    return None


def _free(facts: ConnectionFacts) -> Binding:
    return Binding(Cause.FREE if facts.sessions else Cause.CONNECTING, held=_named(facts.held))


def _named(held: Sequence[str]) -> str:
    """Name the first few providers that wait."""
    more = len(held) - _FEW
    return "; ".join([*held[:_FEW], *([f"and {more:,} more"] if more > 0 else [])])


def _lacks(facts: ConnectionFacts) -> Cause:
    """Why no recipient is claimed, although some wait."""
    if facts.zone:
        return Cause.ZONE
    return Cause.CANARY if facts.waits_for_canary else Cause.DEFERRED


def _ended(facts: ConnectionFacts) -> Cause | None:
    if facts.down:
        return Cause.QUARANTINED
    if facts.is_over:
        return Cause.STANDBY if facts.may_receive else Cause.DONE
    if facts.is_held:
        return Cause.HELD
    return Cause.STOPPED if facts.is_stopping else None


def _not_allowed(facts: ConnectionFacts) -> Cause | None:
    if facts.is_on_hold:
        return Cause.PAUSED
    return Cause.DATABASE_AWAY if facts.is_database_away else None
