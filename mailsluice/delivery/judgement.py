"""Decide whose fault a failed session is, and when its recipient is tried again. Pure.

A recipient is innocent as long as the connection can be at fault. But where sessions break again
and again at the same recipient, its address or its message breaks them, and it must not keep the
others waiting. So each failure costs the recipient some points: more in a session that had carried
no mail yet, which fails at its first recipient whatever the cause. With all its points used
up, the recipient is deferred, as if the server had deferred it. A server that ends session after
session with its reply to MAIL, and accepts nobody meanwhile, blames nobody but the connection.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from mailsluice.core.outcome import Trouble

MOST_POINTS = 9
_POINTS_IN_FRESH_SESSION = 3
_POINTS_IN_PROVEN_SESSION = 1


class Turn(Enum):
    """When a recipient that was not sent to is tried again."""

    NEXT = auto()
    """Before all others that are claimed."""
    LAST = auto()
    """Behind the others that are claimed."""
    LATER = auto()
    """As one that was deferred: an attempt is used."""


class Failure(NamedTuple):
    """The facts about a session that failed at a recipient."""

    trouble: Trouble
    """The connection's trouble, as the reply says."""
    session_goes_on: bool
    """Whether the server replied and keeps the session open."""
    carried: int
    """Recipients that the server had dealt with in this session."""
    longest: int
    """The most that it has dealt with in any session of this connection."""
    points: int
    """Points that the recipient has cost so far in this run."""
    had_attempts: bool
    """Whether the recipient was deferred before."""
    connection_has_worked: bool
    """Whether the server has dealt with any recipient in this run."""
    is_repeated: bool
    """Whether the message was already on its way when another one failed like this."""
    is_ending: bool
    """Whether the run stops, or the connection is down: sessions end because of that."""
    is_closed_to_all: bool = False
    """Whether the server ended the session with its reply to MAIL, and has accepted nobody since it
    last did so for this recipient."""


class Judgement(NamedTuple):
    """The decision about a failure."""

    turn: Turn
    points: int
    """Points that the recipient has cost from now on."""
    blames_recipient: bool
    """Whether the session's end says nothing about the connection."""
    blames_connection: bool
    """Whether the connection has failed, though the session goes on."""


def judge(failure: Failure) -> Judgement:
    """Decide about a recipient that a session failed at before the server could accept it."""
    is_known = failure.points > 0 or failure.had_attempts
    blames_recipient = is_known and failure.connection_has_worked and not failure.is_closed_to_all
    is_connections = failure.trouble is not Trouble.NONE and not failure.is_repeated
    points = failure.points + _cost(failure)
    if points >= MOST_POINTS:
        turn, points = Turn.LATER, 0
    else:
        turn = Turn.NEXT if failure.carried else Turn.LAST
    return Judgement(
        turn,
        points,
        blames_recipient,
        failure.session_goes_on and is_connections and not blames_recipient,
    )


def _cost(failure: Failure) -> int:
    """The points of this failure: none where the recipient cannot be at fault."""
    is_at_usual_length = 0 < failure.carried == failure.longest
    if failure.is_ending or is_at_usual_length or failure.is_closed_to_all:
        return 0
    return _POINTS_IN_PROVEN_SESSION if failure.carried else _POINTS_IN_FRESH_SESSION
