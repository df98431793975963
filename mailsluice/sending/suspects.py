"""Whether refusals are about their recipients, or the connection refuses everybody. Pure.

"550 Invalid recipient" may mean one dead address, or an account over its daily limit: no list of
words is complete, and one text serves both. What tells them apart is what happens to the others. So
a refused recipient is a suspect first, untouched, while a sequential test runs (Page's CUSUM, 1954,
with the likelihood ratio of Wald, 1945):

- the connection works, and recipients are refused at its own rate so far, taken to be at least
  30 % (`DEAD`): a very bad list;
- the connection refuses everybody, but for one in a hundred (`REFUSES`).

Each refusal multiplies the odds by up to 3.3, each acceptance divides them by 70; they never fall
below even. At odds of a thousand million to one (`ODDS`) the connection is convicted: where it has
refused up to 30 % so far, after 18 refusals in a row. Lorden (1971) bounds the false alarms of such
a test: on average at most one in `ODDS` recipients, so one in a thousand campaigns of a million
recipients of whom 30 % are dead; tests/unit/test_suspects_simulation.py tries it.

A refusal whose words speak of the connection ("relay access denied") meets a single recipient of a
working connection in less than one case of a thousand (`SPOKEN`): three in a row convict.

Recipients that were put off before are no sample of the list: see `rate_after`.

A suspect is acquitted where the odds are even again and a message was accepted that had been
started after the suspect was refused. Without the second condition the slow acceptances of messages
that were under way when a limit was reached would clear the first ones it hit.

Messages are judged in the order in which they were started, whatever the order of the replies:
refusals come sooner than acceptances, so with many sessions the first replies always look bad.
Where the replies so far would convict, no more messages go until those under way are answered.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

Held = TypeVar("Held")

REFUSES = 0.99
DEAD = 0.30
_WORST = 0.90
SPOKEN = 0.0009
ODDS = 1e9
_PRIOR = 20
_UNLIKELY = 1e-4
_FEW = 3
_OVERTAKEN = 2_000
"""A message without a reply holds up the judgement of no more than so many."""


class Ruling(Enum):
    """A decision about the suspects."""

    OPEN = "open"
    CONVICTED = "convicted"
    """The connection refuses everybody."""


@dataclass(frozen=True, slots=True)
class Suspect(Generic[Held]):
    """A refused recipient about whom it is not decided yet."""

    held: Held
    number: int
    """Of its message, in the order of starting."""
    asked: int
    """How many messages had been started when the refusal came."""
    is_spoken: bool
    """Whether the words of the refusal speak of the connection."""
    least: float
    """How often recipients like this one are refused, at least, by a connection that works."""


class Suspects(Generic[Held]):
    """Refused recipients of one connection, and the evidence against it."""

    def __init__(self, odds: float = ODDS) -> None:
        self._enough = math.log(odds)
        self._waiting: list[Suspect[Held]] = []
        self._early: list[tuple[int, float]] = []
        """Landed before others that were started earlier: number and weight."""
        self._early_against = 0.0
        """The weight of the refusals among them."""
        self._evidence = 0.0
        self._judged = -1
        """The highest number judged."""
        self._accepted = -1
        """The highest number accepted."""
        self._rate = DEAD

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def last(self) -> Held:
        """The latest suspect."""
        return self._waiting[-1].held

    def last_ones(self) -> list[Held]:
        """Give those after whose refusal no message was started that was accepted."""
        return [one.held for one in self._last()]

    def may_be_chance(self, accepted: int, refused: int, *, are_plain: bool) -> bool:
        """Whether the last ones may be refused by a connection that works: nobody comes after them.

        `accepted` and `refused` are how many it did so far. Not where their words speak of the
        connection, nor where so long a run of refusals has a probability of less than one in 10,000
        at its own rate. Where it has accepted nobody at all, only a few may, and only with a status
        that says that there is no such mailbox (`are_plain`).
        """
        last = self._last()
        if any(one.is_spoken for one in last):
            return False
        if not accepted:
            return are_plain and len(last) <= _FEW
        rate = (refused + 1) / (accepted + refused + 2)  # Laplace's rule of succession
        return math.prod(max(rate, one.least) for one in last) >= _UNLIKELY

    def refused(
        self,
        held: Held,
        number: int,
        asked: int,
        rate: float,
        *,
        is_spoken: bool = False,
        least: float = 0.0,
    ) -> None:
        """Set a recipient aside.

        `rate` is how often the connection refuses one, so far; `least` is more than that where the
        recipient is not one of many: see `rate_after`.
        """
        if not self._waiting:
            self._begin()
        self._rate = min(max(rate, DEAD), _WORST)
        self._waiting.append(Suspect(held, number, asked, is_spoken, least))
        weight = math.log(REFUSES / (SPOKEN if is_spoken else max(self._rate, least)))
        heapq.heappush(self._early, (number, weight))
        self._early_against += weight

    def accepted(self, number: int) -> None:
        """The server took a message over."""
        self._accepted = max(self._accepted, number)
        heapq.heappush(self._early, (number, math.log((1 - REFUSES) / (1 - self._rate))))

    @property
    def are_pressing(self) -> bool:
        """Whether the replies so far would convict, if none of those under way were accepted."""
        evidence = self._evidence
        if not self._waiting or evidence + self._early_against < self._enough:
            return False
        for _, weight in sorted(self._early):
            evidence = max(0.0, evidence + weight)
            if evidence >= self._enough:
                return True
        return False

    def judge(self, oldest: int) -> Ruling:
        """Weigh what was started before `oldest`, the first message of those under way."""
        while self._early and (self._early[0][0] < oldest or len(self._early) > _OVERTAKEN):
            number, weight = heapq.heappop(self._early)
            self._judged = max(self._judged, number)
            self._early_against -= max(0.0, weight)
            self._evidence = max(0.0, self._evidence + weight)
            if self._evidence >= self._enough:
                return Ruling.CONVICTED
        return Ruling.OPEN

    def acquitted(self) -> list[Held]:
        """Give those that are cleared: their refusals were about themselves."""
        if self._evidence:
            return []
        cleared = [
            one
            for one in self._waiting
            if one.number <= self._judged and one.asked <= self._accepted
        ]
        if cleared:
            gone = set(map(id, cleared))
            self._waiting = [one for one in self._waiting if id(one) not in gone]
        return [one.held for one in cleared]

    def clear(self) -> list[Held]:
        """Give all of them, and begin again."""
        waiting, self._waiting = self._waiting, []
        return [one.held for one in waiting]

    def _last(self) -> list[Suspect[Held]]:
        return [one for one in self._waiting if one.asked > self._accepted]

    def _begin(self) -> None:
        self._early.clear()
        self._early_against = self._evidence = 0.0
        self._judged = self._accepted = -1


def own_rate(accepted: int, refused: int) -> float:
    """How often a connection refuses a recipient; without experience (`_PRIOR`), `DEAD`."""
    return (refused + _PRIOR * DEAD) / (accepted + refused + _PRIOR)


def rate_after(attempts: int, *, is_plain: bool) -> float:
    """How often recipients are refused at least that were put off so many times before.

    Whoever is left when all others have their mail is no sample of the list: a greylist is asked
    before the mailbox, so dead addresses behind one come back together, and nobody comes after
    them. `is_plain`: the status says that there is no such mailbox.
    """
    if not attempts:
        return 0.0
    return _WORST if is_plain else DEAD
