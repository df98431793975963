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

A second test of the same kind, with the same odds, sees a server that begins to refuse many, though
not everybody, such as an account that from now on may send to some domains only:

- the connection works, and recipients are refused at its own rate so far, taken to be as high as
  its experience allows (`at_most`), and at least 5 % (`USUAL`);
- the connection refuses every other one (`HALF`).

Where none of 100 was refused, each refusal multiplies these odds by 7.5, each acceptance divides
them by 1.9. Experience is what was judged before the present doubt. Where it does not exclude 30 %
(fewer than 20 recipients, or a list of which very many are dead), this test is silent: one half may
be the list's own rate. It relies on a bound that is wrong now and then, mostly by a little: a list
of which every other address is dead begins with 20 good ones once in a million times.

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
from typing import Generic, NamedTuple, TypeVar

from mailsluice.delivery.evidence import Cusum, at_most

Held = TypeVar("Held")

REFUSES = 0.99
DEAD = 0.30
_WORST = 0.90
HALF = 0.50
USUAL = 0.05
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
    """The connection refuses everybody, or far more than before."""


class Experience(NamedTuple):
    """What became of the recipients of a connection."""

    accepted: int = 0
    refused: int = 0


class _Weights(NamedTuple):
    """How much a reply says, in each of the tests."""

    everybody: float
    many: float


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
        enough = math.log(odds)
        self._many = Cusum(enough)
        self._tests = (Cusum(enough), self._many)
        self._waiting: list[Suspect[Held]] = []
        self._early: list[tuple[int, bool, _Weights]] = []
        """Landed before others that were started earlier: number, whether refused, weights."""
        self._judged = -1
        """The highest number judged."""
        self._accepted = -1
        """The highest number accepted."""
        self._acceptance = _Weights(0.0, 0.0)
        self._before = Experience()
        """Before the doubt began."""
        self._since = Experience()
        """Judged since then."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def last(self) -> Held:
        """The latest suspect."""
        return self._waiting[-1].held

    @property
    def among(self) -> int:
        """Of how many replies, about, the suspects are the refusals."""
        return max(len(self._waiting), sum(self._since) + len(self._early))

    def last_ones(self) -> list[Held]:
        """Give those after whose refusal no message was started that was accepted."""
        return [one.held for one in self._last()]

    def may_be_chance(self, accepted: int, refused: int, *, are_plain: bool) -> bool:
        """Whether the last ones may be refused by a connection that works: nobody comes after them.

        `accepted` and `refused` are how many it did so far. Not where their words speak of the
        connection, nor where so long a run of refusals has a probability of less than one in 10,000
        at its own rate, nor where it is 10,000 times as likely that it refuses many. Where it has
        accepted nobody at all, only a few may, and only with a status that says that there is no
        such mailbox (`are_plain`).
        """
        last = self._last()
        if any(one.is_spoken for one in last):
            return False
        if self._many.value >= -math.log(_UNLIKELY):
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
        before: Experience,
        *,
        is_final: bool = True,
        is_spoken: bool = False,
        least: float = 0.0,
    ) -> None:
        """Set a recipient aside.

        `before`: the recipients about whom it is decided. `is_final`: where the refusal means what
        it says, the recipient is not tried later. `least` is more than the connection's own rate
        where the recipient is not one of many: see `rate_after`.
        """
        if not self._waiting:
            self._begin(before)
        self._waiting.append(Suspect(held, number, asked, is_spoken, least))
        rate = min(max(own_rate(*before), DEAD), _WORST)
        usual = max(USUAL, at_most(self._before.refused, sum(self._before)))
        everybody = math.log(REFUSES / (SPOKEN if is_spoken else max(rate, least)))
        counts = is_final and not least and usual < DEAD
        many = math.log(HALF / usual) if counts else 0.0
        self._acceptance = _Weights(
            math.log((1 - REFUSES) / (1 - rate)), math.log((1 - HALF) / (1 - min(usual, DEAD)))
        )
        self._land(number, True, _Weights(everybody, many))

    def accepted(self, number: int) -> None:
        """The server took a message over."""
        self._accepted = max(self._accepted, number)
        self._land(number, False, self._acceptance)

    @property
    def are_pressing(self) -> bool:
        """Whether the replies so far would convict, if none of those under way were accepted."""
        if not self._waiting or all(one.value + one.ahead < one.enough for one in self._tests):
            return False
        weights = zip(*(weights for _, _, weights in sorted(self._early)), strict=True)
        return any(map(Cusum.would_be_enough, self._tests, weights))

    def judge(self, oldest: int) -> Ruling:
        """Weigh what was started before `oldest`, the first message of those under way."""
        while self._early and (self._early[0][0] < oldest or len(self._early) > _OVERTAKEN):
            number, is_refused, weights = heapq.heappop(self._early)
            self._judged = max(self._judged, number)
            for test, weight in zip(self._tests, weights, strict=True):
                test.weigh(weight)
            self._learn(is_refused)
            if any(test.is_enough for test in self._tests):
                return Ruling.CONVICTED
        return Ruling.OPEN

    def acquitted(self) -> list[Held]:
        """Give those that are cleared: their refusals were about themselves."""
        if self._are_in_doubt:
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

    @property
    def _are_in_doubt(self) -> bool:
        return any(test.value for test in self._tests)

    def _begin(self, before: Experience) -> None:
        self._early.clear()
        for test in self._tests:
            test.value = test.ahead = 0.0
        self._judged = self._accepted = -1
        self._before, self._since = before, Experience()

    def _land(self, number: int, is_refused: bool, weights: _Weights) -> None:
        heapq.heappush(self._early, (number, is_refused, weights))
        for test, weight in zip(self._tests, weights, strict=True):
            test.ahead += max(0.0, weight)

    def _learn(self, is_refused: bool) -> None:
        """Take a reply for the connection's usual behaviour, unless there is a doubt."""
        accepted, refused = self._since
        accepted, refused = accepted + (not is_refused), refused + is_refused
        if self._are_in_doubt:
            self._since = Experience(accepted, refused)
            return
        before = self._before
        self._before = Experience(before.accepted + accepted, before.refused + refused)
        self._since = Experience()


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
