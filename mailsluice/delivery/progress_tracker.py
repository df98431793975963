"""Track how many recipients are in which state, and what each connection waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from mailsluice.core.moves import Move
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
    """Counts on from one look at the database, so that later looks cost nothing."""

    def __init__(self, campaign: str) -> None:
        self._campaign = campaign
        self._before: dict[str, Tally] = {}
        self._down: dict[str, str] = {}
        self._connection_senders: dict[str, ConnectionSender] = {}
        self._heard: dict[str, Standing] = {}
        self._moves: tuple[Move, ...] = ()

    def begin(
        self,
        recipients: Mapping[str, int],
        counts: Counts | None,
        down: Mapping[str, str],
        moves: Sequence[Move] = (),
    ) -> None:
        """From here on connection senders count; `counts` is None where nothing was sent yet.

        `recipients` are those on each connection, after the `moves`; `down` are connections given
        up before, and why.
        """
        self._before = {
            name: Tally.of(counts.by_connection.get(name, {})) if counts else Tally(number)
            for name, number in recipients.items()
        }
        self._moves = tuple(moves)
        self._down = dict(down)
        self._connection_senders.clear()  # what they did is in the database
        self._heard = {}

    def watch(self, connection: str, sender: ConnectionSender) -> None:
        """This one sends from here on."""
        self._connection_senders[connection] = sender

    def hear(self, standings: Mapping[str, Standing]) -> None:
        """What is done elsewhere, by connection: since `begin`."""
        self._heard = dict(standings)

    def look(
        self,
        complete: Callable[[ConnectionFacts], ConnectionFacts],
        now: float,
        moment: datetime,
    ) -> Progress:
        """Give the progress of the campaign and of each connection.

        `complete` adds what no connection sender knows; `moment` is `now` by the wall clock.

        On the loop that sends.
        """
        standings = []
        for name, before in self._before.items():
            sender = self._connection_senders.get(name)
            if heard := self._heard.get(name):
                standings.append(Standing(name, before + heard.tally, heard.binding))
                continue
            if sender is None:
                standings.append(Standing(name, before, self._without_sender(name)))
                continue
            bound = binding(complete(sender.facts(now)), now, moment)
            standings.append(Standing(name, before + sender.tally(), bound))
        return Progress(self._campaign, tuple(standings), self._moves)

    def _without_sender(self, name: str) -> Binding:
        if name in self._down:
            return Binding(Cause.QUARANTINED, self._down[name])
        return Binding(Cause.DONE if not self._before[name].left else Cause.STARTING)
