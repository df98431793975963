"""Slow down one mailbox provider where a reply blames it, rather than the connection.

A relay passes on what the servers of mailbox providers say, so a reply that asks for less mail may
be about one provider among many. `mailsluice.mailbox_providers` knows such replies. Where many
providers are blamed and nothing is accepted in between, the connection itself is to blame.
"""

from __future__ import annotations

import logging
from collections import Counter

from mailsluice.core.outcome import Attempt, Phase
from mailsluice.delivery.connection_state import ConnectionState
from mailsluice.mailbox_providers import UNRESOLVED, Action, Blame, blamed, title_of
from mailsluice.store import Claimed

logger = logging.getLogger(__name__)

_MOST_BLAMED = 3
"""Providers that may be blamed without an accepted message in between."""
_IN_A_ROW = 3
"""Only so many replies without an accepted message in between make a provider rest: filters refuse
a few messages of any mailing."""
_REFUSED_FOR_GOOD = 500


class ProviderReplies:
    """The replies to one connection's messages that blame mailbox providers."""

    def __init__(self, state: ConnectionState) -> None:
        self._state = state
        self._names = state.providers
        self._numbers = {name: number for number, name in self._names.items()}
        self._blamed: set[str] = set()
        """Providers blamed since the connection's last accepted message."""
        self._in_a_row: Counter[int] = Counter()
        """How often each provider asked for a rest since the last message that it accepted."""
        self.is_alert = False
        """Whether `accepted` has to be called; read for every message, so it is stored."""

    def blame(self, row: Claimed, attempt: Attempt) -> Blame | None:
        """Return the provider that a reply blames; None where it speaks of something else."""
        own = self._names.get(row.provider)
        if attempt.code is None or own is None:
            return None
        blame = blamed(attempt.text, attempt.code, own)
        if blame is None or (attempt.phase is Phase.MAIL and own not in blame.speakers):
            return None  # MAIL names no recipient: a relay speaks of itself
        if blame.action is Action.MAILBOX:
            return blame if attempt.code < _REFUSED_FOR_GOOD else None
        self._blamed.add(blame.provider)
        self.is_alert = True
        return blame if len(self._blamed) <= _MOST_BLAMED else None

    def slow_down(self, row: Claimed, blame: Blame) -> None:
        """Send less to the provider that is blamed, or nothing for a while.

        The recipients whose provider is not known get less mail too, as the reply was to one of
        them. Any server may have said it, so the provider that it names does not rest for it.
        """
        if blame.action is Action.MAILBOX:
            return
        number = self._numbers.get(blame.provider, row.provider)
        self._throttle(number)
        if number != row.provider:
            self._throttle(row.provider)
        if blame.seconds and number == row.provider and self._names[number] != UNRESOLVED:
            self._in_a_row[number] += 1
            if self._in_a_row[number] >= _IN_A_ROW:
                self._rest(number, blame.seconds)

    def accepted(self, row: Claimed) -> None:
        """Note that a message was accepted: its provider takes mail again."""
        self._blamed.clear()
        if self._in_a_row.pop(row.provider, 0) >= _IN_A_ROW:
            self._state.lanes.lane(row.provider).slowdown.accepted()
        self.is_alert = bool(self._in_a_row)

    def _throttle(self, number: int) -> None:
        state = self._state
        lane, now = state.lanes.lane(number), state.context.clock()
        # A new lane has measured no pace, but has the provider's share of the claimed recipients.
        share = (1 + len(lane.rows)) / (1 + len(state.lanes))
        lane.slowdown.suppose(share * state.health.slowdown.recent(now))
        pace = lane.slowdown.throttled(now)
        if pace is not None:
            self._say(number, f"asks for less mail; now {pace:.3g} messages per second")

    def _rest(self, number: int, seconds: float) -> None:
        now = self._state.context.clock()
        rest = self._state.lanes.lane(number).slowdown.rest(now, seconds)
        if rest is not None:
            self._say(number, f"takes no mail; it gets none for {rest / 60:.3g} minutes")

    def _say(self, number: int, what: str) -> None:
        title = title_of(self._names[number])
        logger.warning("connection %s: %s %s", self._state.name, title, what)
