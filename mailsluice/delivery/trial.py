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
from mailsluice.delivery.refusal_weights import Experience, rate_after
from mailsluice.delivery.suspects import Ruling, Suspects
from mailsluice.smtp.session import SessionError
from mailsluice.store import Claimed

_NAMES_NO_RECIPIENT = frozenset((Phase.CONNECT, Phase.TLS, Phase.LOGIN, Phase.MAIL))


class Trial:
    """Suspects of both kinds: refused for good (5xx), and deferred (4xx).

    When the connection refuses every recipient, it goes down and its suspects become pending again.
    When it defers every recipient, sending pauses, and its suspects are tried later without having
    used an attempt. Otherwise each reply counts for its recipient, with one exception: a refusal
    that names a limit, while other recipients are accepted, means that the server takes only a part
    of the mail. Then the pace slows down and the recipient is tried later.
    """

    def __init__(
        self, state: ConnectionState, queue: EnvelopeQueue, recorder: OutcomeRecorder
    ) -> None:
        self._state = state
        self._queue = queue
        self._recorder = recorder
        self._lanes = state.lanes
        self._health = state.health
        self._refused: Suspects[tuple[Claimed, Attempt]] = Suspects()
        self._deferred: Suspects[tuple[Claimed, Attempt]] = Suspects()
        self._all_are_deferred = False
        self.is_open = False
        """Whether a decision is open; read for every message, so it is stored, not computed."""
        self._confirmed = {Verdict.FAILED: 0, Verdict.DEFERRED: 0}
        """How many suspects were refused for reasons of their own."""

    def refused(self, row: Claimed, attempt: Attempt, number: int, *, is_spoken: bool) -> None:
        """Hold a recipient that was refused for good.

        `is_spoken`: the words of the refusal are about the connection.
        """
        self._refused.refused(
            (row, attempt),
            number,
            self._queue.started,
            self._experience(Verdict.FAILED),
            is_final=not is_about_a_limit(attempt),
            is_spoken=is_spoken,
            least=rate_after(row.attempts, is_plain=says_no_such_mailbox(attempt)),
        )
        self._update()
        if attempt.phase in _NAMES_NO_RECIPIENT and is_spoken:
            self._take_down()

    def deferred(self, row: Claimed, attempt: Attempt, number: int) -> None:
        """Hold a recipient that was deferred, unless every recipient is."""
        if self._all_are_deferred:
            self._health.takes_nothing()
            self._recorder.put_off(row, attempt)
            return
        experience = self._experience(Verdict.DEFERRED)
        started = self._queue.started
        self._deferred.refused((row, attempt), number, started, experience, is_final=False)
        self._update()

    def accepted(self, number: int) -> None:
        """Take an acceptance into account while a decision is open."""
        self._all_are_deferred = False
        for suspects in (self._refused, self._deferred):
            if suspects:
                suspects.accepted(number)
        self._update()

    def proceed(self) -> None:
        """Decide about the suspects, as far as the replies so far allow."""
        oldest = self._queue.oldest
        if self._deferred and self._deferred.judge(oldest) is Ruling.CONVICTED:
            self._pause()
        if self._refused and self._refused.judge(oldest) is Ruling.CONVICTED:
            self._take_down()
        for row, attempt in self._refused.acquitted():
            if is_about_a_limit(attempt):
                self._health.throttled()
                self._confirm([(row, attempt)], Verdict.DEFERRED)
            else:
                self._confirm([(row, attempt)], Verdict.FAILED)
        self._confirm(self._deferred.acquitted(), Verdict.DEFERRED)

    async def conclude(self) -> None:
        """Decide about suspects after which no recipient comes, by their number.

        A few refusals are chance, and the recipients fail. More refusals, or a vague refusal by a
        connection that has accepted nobody in this campaign, take the connection down, and the
        suspects wait.
        """
        accepted, failed = self._state.accepted, self._confirmed[Verdict.FAILED]
        if self._refused and not accepted:
            accepted, failed = await self._counts_of_all_runs()
        if self._state.is_stopping or self._health.down:
            return
        are_plain = all(says_no_such_mailbox(attempt) for _, attempt in self._refused.last_ones())
        if not self._refused.may_be_chance(accepted, failed, are_plain=are_plain):
            self._take_down()
        self._confirm(self._refused.clear(), Verdict.FAILED)
        self._confirm(self._deferred.clear(), Verdict.DEFERRED)

    def put_back(self) -> None:
        """Put the suspects back among the claimed recipients, without a decision about them."""
        rows = [row for row, _ in (*self._refused.clear(), *self._deferred.clear())]
        self._update()
        for row in sorted(rows, key=lambda row: row.id, reverse=True):
            self._lanes.put_back(row)

    def _confirm(self, acquitted: Iterable[tuple[Claimed, Attempt]], verdict: Verdict) -> None:
        """Record the recipients' own replies, as the connection is not at fault."""
        for row, attempt in acquitted:
            self._confirmed[verdict] += 1
            self._recorder.record(row, attempt, verdict)
        self._update()

    def _update(self) -> None:
        """Update what the claimed recipients and the queue know of the suspects."""
        self._lanes.undecided = undecided = len(self._refused) + len(self._deferred)
        self.is_open = self._all_are_deferred or undecided > 0
        self._queue.waits_for_replies = self._refused.would_convict or self._deferred.would_convict

    def _pause(self) -> None:
        """Send nothing for a while, as the server defers every recipient."""
        self._all_are_deferred = True
        self._health.takes_nothing()
        for row, attempt in self._deferred.clear():
            self._recorder.put_off(row, attempt)
        self._update()

    def _take_down(self) -> None:
        """Take the connection down, as it refuses every recipient or far too many."""
        error = SessionError(self._refused.last[1])
        count, among = len(self._refused), self._refused.among
        last = f"the last {count}" if count == among else f"{count} of the last {among}"
        reason = f"{error} ({last} recipients were refused; they have not failed, and still wait)"
        self._health.failed(Trouble.DOWN, reason if count > 1 else error)
        self.put_back()

    def _experience(self, verdict: Verdict) -> Experience:
        return Experience(self._state.accepted, self._confirmed[verdict])

    async def _counts_of_all_runs(self) -> tuple[int, int]:
        """How many recipients of the connection were sent and have failed, in all runs."""
        counts, name = await self._state.context.store.counts(), self._state.name
        sent = counts.of(RecipientStatus.SENT, connection=name)
        return sent, counts.of(RecipientStatus.FAILED, connection=name)
