"""Track how many recipients are in which state, and what each connection waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mailsluice.core.moves import Move, moved_away, moved_here
from mailsluice.core.status import UNCLAIMED
from mailsluice.delivery.connection_sender import ConnectionSender
from mailsluice.reports.progress import (
    Binding,
    Cause,
    ConnectionFacts,
    Progress,
    Standing,
    Tally,
    binding,
)
from mailsluice.store import Counts


class ProgressTracker:
    """Adds what senders do to counts that are read from the database once."""

    def __init__(self, campaign: str) -> None:
        self._campaign = campaign
        self._before: dict[str, Tally] = {}
        self._down: dict[str, str] = {}
        self._connection_senders: dict[str, ConnectionSender] = {}
        self._elsewhere: dict[str, Standing] = {}
        self._moves: tuple[Move, ...] = ()
        self._pool = Tally()

    def begin(
        self,
        recipients: Mapping[str, int],
        counts: Counts | None,
        down: Mapping[str, str],
        moves: Sequence[Move] = (),
        in_pool: int = 0,
    ) -> None:
        """Start from these counts.

        Args:
            recipients: How many recipients each connection has, after the `moves`.
            counts: What is stored; None where nothing was sent yet.
            down: The connections that went down before, with the reason.
            moves: Recipients that were moved to other connections.
            in_pool: Recipients that no connection had claimed, where nothing was sent yet.
        """
        self._before = {
            name: Tally.of(counts.by_connection.get(name, {})) if counts else Tally(count)
            for name, count in recipients.items()
        }
        self._pool = Tally.of(counts.by_connection.get(UNCLAIMED, {})) if counts else Tally(in_pool)
        self._moves = tuple(moves)
        self._down = dict(down)
        self._connection_senders.clear()  # their work is in the counts
        self._elsewhere = {}

    def moved(self, moves: Sequence[Move]) -> None:
        """Note the campaign's moves so far: some are new, made while the connections send."""
        change = moved_here(moves)
        change.update(moved_away(self._moves))
        change.subtract(moved_away(moves))
        change.subtract(moved_here(self._moves))
        for name, number in change.items():
            self._before[name] = self._before.get(name, Tally()) + Tally(number)
        self._moves = tuple(moves)

    def watch(self, connection: str, sender: ConnectionSender) -> None:
        """Add what this connection sender does."""
        self._connection_senders[connection] = sender

    def set_elsewhere(self, standings: Mapping[str, Standing]) -> None:
        """Add what other processes have done since `begin`, by connection."""
        self._elsewhere = dict(standings)

    def progress(
        self,
        complete: Callable[[ConnectionFacts], ConnectionFacts],
        now: float,
        moment: datetime,
    ) -> Progress:
        """The progress of the campaign and of each connection. Call it on the loop that sends.

        Args:
            complete: Adds the facts that a connection sender does not know.
            now: The present by the steady clock.
            moment: The present by the wall clock.
        """
        standings = []
        for name, before in self._before.items():
            sender = self._connection_senders.get(name)
            if elsewhere := self._elsewhere.get(name):
                standings.append(replace(elsewhere, tally=before + elsewhere.tally))
                continue
            if sender is None:
                standings.append(Standing(name, before, self._without_sender(name)))
                continue
            facts = complete(sender.facts(now))
            bound = binding(facts, now, moment)
            tally = before + sender.tally()
            present = facts.sessions, facts.in_flight
            standings.append(Standing(name, tally, bound, facts.waiting, *present))
        claimed = sum(standing.tally.assigned for standing in standings)
        claimed -= sum(before.assigned for before in self._before.values())
        pool = replace(self._pool, assigned=max(0, self._pool.assigned - claimed))
        return Progress(self._campaign, tuple(standings), self._moves, pool=pool)

    def _without_sender(self, name: str) -> Binding:
        if name in self._down:
            return Binding(Cause.QUARANTINED, self._down[name])
        is_waited_for = self._before[name].left or self._pool.left
        return Binding(Cause.STARTING if is_waited_for else Cause.DONE)
