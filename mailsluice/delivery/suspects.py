"""Whether refusals are about their recipients, or the connection refuses everybody. Pure.

A refused recipient is a suspect, and its row stays untouched, while two sequential tests weigh the
replies to it and to the others (`refusal_weights.py`). When a test reaches its odds, the connection
is convicted.

A suspect is acquitted when the odds are even again and a message was accepted that had been started
after the suspect was refused. Without the second condition the slow acceptances of messages that
were on their way when a limit was reached would acquit the first recipients that met the limit.

Messages are judged in the order in which they were started, whatever the order of the replies:
refusals come sooner than acceptances, so with many sessions the first replies always look bad.
Where the replies so far would convict, no more messages start until those on their way are
answered.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from mailsluice.delivery.evidence import Cusum
from mailsluice.delivery.refusal_weights import ODDS, Experience, Weights, refusal_weights

Held = TypeVar("Held")

_UNLIKELY = 1e-4
_FEW = 3
_OVERTAKEN = 2_000
"""A message without a reply delays the judgement of no more than so many later ones."""


class _Reply(NamedTuple):
    """A reply that is not judged yet, as an earlier message has none."""

    number: int
    is_refusal: bool
    weights: Weights


class Ruling(Enum):
    """A decision about the connection."""

    OPEN = "open"
    CONVICTED = "convicted"
    """The connection refuses everybody, or far more recipients than before."""


@dataclass(frozen=True, slots=True)
class Suspect(Generic[Held]):
    """A refused recipient that is neither acquitted nor released by a conviction."""

    held: Held
    number: int
    """The number of its message, in the order of starting."""
    started: int
    """How many messages had been started when the refusal came."""
    is_spoken: bool
    """Whether the words of the refusal are about the connection."""
    least: float
    """The least rate at which a working connection refuses recipients like this one."""


class Suspects(Generic[Held]):
    """Refused recipients of one connection, and the evidence against it."""

    def __init__(self, odds: float = ODDS) -> None:
        enough = math.log(odds)
        self._many = Cusum(enough)
        self._tests = (Cusum(enough), self._many)
        self._waiting: list[Suspect[Held]] = []
        self._early: list[_Reply] = []
        """A heap of replies that came before those to messages started earlier."""
        self._judged = -1
        """The highest number judged."""
        self._accepted = -1
        """The highest number accepted."""
        self._acceptance = Weights(0.0, 0.0)
        self._before = Experience()
        """The recipients judged before the doubt began."""
        self._since = Experience()
        """The recipients judged since then."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def last(self) -> Held:
        """The latest suspect."""
        return self._waiting[-1].held

    @property
    def among(self) -> int:
        """About how many replies the suspects are among."""
        return max(len(self._waiting), sum(self._since) + len(self._early))

    def last_ones(self) -> list[Held]:
        """The suspects without an acceptance of a message that was started after their refusal."""
        return [suspect.held for suspect in self._last()]

    def may_be_chance(self, accepted: int, refused: int, *, are_plain: bool) -> bool:
        """Whether a working connection may have refused the last suspects (`last_ones`).

        `accepted` and `refused` count the connection's recipients so far. False where the words of
        a refusal are about the connection, where so long a run of refusals has a probability of
        less than one in 10,000 at the connection's own rate, or where it is 10,000 times as likely
        that the connection refuses many. Where the connection has accepted nobody at all, only a
        few refusals may be chance, and only with a status that says that there is no such mailbox
        (`are_plain`).
        """
        last = self._last()
        if any(suspect.is_spoken for suspect in last):
            return False
        if self._many.value >= -math.log(_UNLIKELY):
            return False
        if not accepted:
            return are_plain and len(last) <= _FEW
        rate = (refused + 1) / (accepted + refused + 2)  # Laplace's rule of succession
        return math.prod(max(rate, suspect.least) for suspect in last) >= _UNLIKELY

    def refused(
        self,
        held: Held,
        number: int,
        started: int,
        experience: Experience,
        *,
        is_final: bool = True,
        is_spoken: bool = False,
        least: float = 0.0,
    ) -> None:
        """Add a suspect.

        Args:
            held: Whatever the caller needs to know of the recipient.
            number: The number of its message, in the order of starting.
            started: How many messages have been started so far.
            experience: The recipients of the connection that are decided.
            is_final: Whether the recipient fails, rather than being tried later, when acquitted.
            is_spoken: Whether the words of the refusal are about the connection.
            least: The least rate at which recipients like this one are refused (`rate_after`).
        """
        if not self._waiting:
            self._begin(experience)
        self._waiting.append(Suspect(held, number, started, is_spoken, least))
        refusal, self._acceptance = refusal_weights(
            experience, self._before, is_final=is_final, is_spoken=is_spoken, least=least
        )
        self._add(number, True, refusal)

    def accepted(self, number: int) -> None:
        """Take an acceptance into account."""
        self._accepted = max(self._accepted, number)
        self._add(number, False, self._acceptance)

    @property
    def would_convict(self) -> bool:
        """Whether the replies so far convict, if no message on its way is accepted."""
        if not self._waiting or all(test.value + test.ahead < test.enough for test in self._tests):
            return False
        weights = zip(*(reply.weights for reply in sorted(self._early)), strict=True)
        return any(map(Cusum.would_be_enough, self._tests, weights))

    def judge(self, oldest: int) -> Ruling:
        """Weigh the replies to messages started before `oldest`, the first that has no reply."""
        while self._early and (self._early[0].number < oldest or len(self._early) > _OVERTAKEN):
            reply = heapq.heappop(self._early)
            self._judged = max(self._judged, reply.number)
            for test, weight in zip(self._tests, reply.weights, strict=True):
                test.weigh(weight)
            self._learn(reply.is_refusal)
            if any(test.is_enough for test in self._tests):
                return Ruling.CONVICTED
        return Ruling.OPEN

    def acquitted(self) -> list[Held]:
        """Remove and return the suspects whose refusals were about themselves."""
        if self._is_in_doubt:
            return []
        acquitted = [suspect for suspect in self._waiting if self._is_acquitted(suspect)]
        if acquitted:
            self._waiting = [
                suspect for suspect in self._waiting if not self._is_acquitted(suspect)
            ]
        return [suspect.held for suspect in acquitted]

    def clear(self) -> list[Held]:
        """Remove and return all suspects."""
        waiting, self._waiting = self._waiting, []
        return [suspect.held for suspect in waiting]

    def _is_acquitted(self, suspect: Suspect[Held]) -> bool:
        return suspect.number <= self._judged and suspect.started <= self._accepted

    def _last(self) -> list[Suspect[Held]]:
        return [suspect for suspect in self._waiting if suspect.started > self._accepted]

    @property
    def _is_in_doubt(self) -> bool:
        return any(test.value for test in self._tests)

    def _begin(self, experience: Experience) -> None:
        self._early.clear()
        for test in self._tests:
            test.value = test.ahead = 0.0
        self._judged = self._accepted = -1
        self._before, self._since = experience, Experience()

    def _add(self, number: int, is_refusal: bool, weights: Weights) -> None:
        heapq.heappush(self._early, _Reply(number, is_refusal, weights))
        for test, weight in zip(self._tests, weights, strict=True):
            test.ahead += max(0.0, weight)

    def _learn(self, is_refusal: bool) -> None:
        """Add a reply to the connection's experience, unless a doubt is open."""
        accepted, refused = self._since
        accepted, refused = accepted + (not is_refusal), refused + is_refusal
        if self._is_in_doubt:
            self._since = Experience(accepted, refused)
            return
        before = self._before
        self._before = Experience(before.accepted + accepted, before.refused + refused)
        self._since = Experience()
