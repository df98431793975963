"""Hold the refused recipients of one connection until it is clear whose fault the refusals are.

A refused (5xx) or deferred (4xx) recipient is a suspect: its row does not change while the
sequential tests of `suspects.py` run. An acquittal settles the recipient as its own reply says. A
conviction takes the connection down and returns the suspects to the pending recipients. A refusal
after the final dot is removed from the journal at once, so that after a crash a suspect is pending
rather than uncertain.
"""

from __future__ import annotations

from collections.abc import Iterable

from mailsluice.core.outcome import (
    Attempt,
    Phase,
    Trouble,
    Verdict,
    is_about_a_limit,
    says_no_such_mailbox,
)
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.connection_state import ConnectionState
from mailsluice.delivery.envelope_queue import EnvelopeQueue
from mailsluice.delivery.outcome_recorder import OutcomeRecorder
from mailsluice.delivery.suspects import Experience, Ruling, Suspects, rate_after
from mailsluice.smtp.session import SessionError
from mailsluice.store import Claimed

_NAMES_NO_RECIPIENT = frozenset((Phase.CONNECT, Phase.TLS, Phase.LOGIN, Phase.MAIL))


class Trial:
    """Suspects of both kinds: refused for good (5xx), and put off (4xx).

    Where the connection refuses everybody it is down, and its suspects are pending as before. Where
    it puts everybody off, nothing goes for a while, and its suspects are tried later without having
    used an attempt. Else each refusal means what it says, except one that speaks of a limit while
    others are accepted: the server takes some of the mail only, so the pace is slowed down, and the
    recipient is tried later.
    """

    def __init__(
        self, state: ConnectionState, queue: EnvelopeQueue, recorder: OutcomeRecorder
    ) -> None:
        self._state = state
        self._queue = queue
        self._recorder = recorder
        self._claimed = state.claimed
        self._health = state.health
        self._refused: Suspects[tuple[Claimed, Attempt]] = Suspects()
        self._deferred: Suspects[tuple[Claimed, Attempt]] = Suspects()
        self._all_are_put_off = False
        self.is_open = False
        """Whether anything is undecided; asked for every message, so kept rather than found out."""
        self._meant = {Verdict.FAILED: 0, Verdict.DEFERRED: 0}
        """How many suspects were to blame themselves."""

    def refused(self, row: Claimed, attempt: Attempt, number: int, *, is_spoken: bool) -> None:
        """A server refused a message for good; `is_spoken`: in words about the connection."""
        self._refused.refused(
            (row, attempt),
            number,
            self._queue.started,
            self._experience(Verdict.FAILED),
            is_final=not is_about_a_limit(attempt),
            is_spoken=is_spoken,
            least=rate_after(row.attempts, is_plain=says_no_such_mailbox(attempt)),
        )
        self._tell()
        if attempt.phase in _NAMES_NO_RECIPIENT and is_spoken:
            self._give_up()

    def deferred(self, row: Claimed, attempt: Attempt, number: int) -> None:
        """A server put a message off."""
        if self._all_are_put_off:
            self._health.takes_nothing()
            self._recorder.put_off(row, attempt)
            return
        so_far = self._experience(Verdict.DEFERRED)
        asked = self._queue.started
        self._deferred.refused((row, attempt), number, asked, so_far, is_final=False)
        self._tell()

    def accepted(self, number: int) -> None:
        """A server took a message over while something was undecided."""
        self._all_are_put_off = False
        for suspects in (self._refused, self._deferred):
            if suspects:
                suspects.accepted(number)
        self._tell()

    def proceed(self) -> None:
        """Decide what can be decided."""
        oldest = self._queue.oldest
        if self._deferred and self._deferred.judge(oldest) is Ruling.CONVICTED:
            self._rest()
        if self._refused and self._refused.judge(oldest) is Ruling.CONVICTED:
            self._give_up()
        for one in self._refused.acquitted():
            if is_about_a_limit(one[1]):
                self._health.throttled()
                self._mean_it([one], Verdict.DEFERRED)
            else:
                self._mean_it([one], Verdict.FAILED)
        self._mean_it(self._deferred.acquitted(), Verdict.DEFERRED)

    async def conclude(self) -> None:
        """Decide about suspects after which no recipient comes, by how many they are.

        Few are chance, and failed. More are not, nor is a vague refusal where the connection has
        accepted nobody in this campaign: then it is down, and they wait.
        """
        accepted, failed = self._state.accepted, self._meant[Verdict.FAILED]
        if self._refused and not accepted:
            accepted, failed = await self._before()
        if self._state.is_stopping or self._health.down:
            return
        are_plain = all(says_no_such_mailbox(one) for _, one in self._refused.last_ones())
        if not self._refused.may_be_chance(accepted, failed, are_plain=are_plain):
            self._give_up()
        self._mean_it(self._refused.clear(), Verdict.FAILED)
        self._mean_it(self._deferred.clear(), Verdict.DEFERRED)

    def put_back(self) -> None:
        """Make the suspects pending again, as no decision was made about them."""
        held = [*self._refused.clear(), *self._deferred.clear()]
        self._tell()
        for row, _ in sorted(held, key=lambda one: one[0].id, reverse=True):
            self._claimed.put_back(row)

    def _mean_it(self, cleared: Iterable[tuple[Claimed, Attempt]], verdict: Verdict) -> None:
        for row, attempt in cleared:
            self._meant[verdict] += 1
            self._recorder.record(row, attempt, verdict)
        self._tell()

    def _tell(self) -> None:
        """Tell the stock who may come back, and the dispatch whether to wait for replies."""
        self._claimed.aside = aside = len(self._refused) + len(self._deferred)
        self.is_open = self._all_are_put_off or aside > 0
        self._queue.waits = self._refused.are_pressing or self._deferred.are_pressing

    def _rest(self) -> None:
        self._all_are_put_off = True
        self._health.takes_nothing()
        for row, attempt in self._deferred.clear():
            self._recorder.put_off(row, attempt)
        self._tell()
        self._tell()

    def _give_up(self) -> None:
        error = SessionError(self._refused.last[1])
        number, among = len(self._refused), self._refused.among
        last = f"the last {number}" if number == among else f"{number} of the last {among}"
        reason = f"{error} (so it answered {last} recipients, who wait as before)"
        self._health.failed(Trouble.DOWN, reason if number > 1 else error)
        self.put_back()

    def _experience(self, verdict: Verdict) -> Experience:
        return Experience(self._state.accepted, self._meant[verdict])

    async def _before(self) -> tuple[int, int]:
        """How many recipients of the connection are sent and failed, in all runs."""
        counts, name = await self._state.context.bookkeeper.counts(), self._state.name
        sent = counts.of(RecipientStatus.SENT, connection=name)
        return sent, counts.of(RecipientStatus.FAILED, connection=name)
