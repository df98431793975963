"""How a campaign gets on: what the database said before it was sent, and its couriers since."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from mailsluice.moves import Move
from mailsluice.outbox import Counts
from mailsluice.progress import Binding, Cause, Facts, Progress, Standing, Tally, binding
from mailsluice.sending.courier import Courier


class Onlooker:
    """Counts on from one look at the database, so that later looks cost nothing."""

    def __init__(self, campaign: str) -> None:
        self._campaign = campaign
        self._before: dict[str, Tally] = {}
        self._down: dict[str, str] = {}
        self._couriers: dict[str, Courier] = {}
        self._heard: dict[str, Standing] = {}
        self._moves: tuple[Move, ...] = ()

    def begin(
        self,
        recipients: Mapping[str, int],
        counts: Counts | None,
        down: Mapping[str, str],
        moves: Sequence[Move] = (),
    ) -> None:
        """From here on couriers count; `counts` is None where nothing was sent yet.

        `recipients` are those on each connection, after the `moves`; `down` are connections given
        up before, and why.
        """
        self._before = {
            name: Tally.of(counts.by_connection.get(name, {})) if counts else Tally(number)
            for name, number in recipients.items()
        }
        self._moves = tuple(moves)
        self._down = dict(down)
        self._couriers.clear()  # what they did is in the database
        self._heard = {}

    def watch(self, connection: str, courier: Courier) -> None:
        """This one sends from here on."""
        self._couriers[connection] = courier

    def hear(self, standings: Mapping[str, Standing]) -> None:
        """What is done elsewhere, by connection: since `begin`."""
        self._heard = dict(standings)

    def look(
        self,
        complete: Callable[[Facts], Facts],
        now: float,
        moment: datetime,
    ) -> Progress:
        """Where they stand. `complete` adds what no courier knows; `moment` is `now` by the wall.

        On the loop that sends.
        """
        standings = []
        for name, before in self._before.items():
            courier = self._couriers.get(name)
            if heard := self._heard.get(name):
                standings.append(Standing(name, before + heard.tally, heard.binding))
                continue
            if courier is None:
                standings.append(Standing(name, before, self._without_courier(name)))
                continue
            bound = binding(complete(courier.facts(now)), now, moment)
            standings.append(Standing(name, before + courier.tally(), bound))
        return Progress(self._campaign, tuple(standings), self._moves)

    def _without_courier(self, name: str) -> Binding:
        if name in self._down:
            return Binding(Cause.QUARANTINED, self._down[name])
        return Binding(Cause.DONE if not self._before[name].left else Cause.STARTING)
