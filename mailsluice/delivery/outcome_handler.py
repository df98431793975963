"""What a server's answers mean for recipients, connection and session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

from mailsluice.campaign import Retry, UncertainPolicy
from mailsluice.core.outcome import (
    Attempt,
    Phase,
    Trouble,
    Verdict,
    classify,
    is_about_the_recipient,
)
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.bookkeeper import Bookkeeper
from mailsluice.delivery.claimed_recipients import ClaimedRecipients
from mailsluice.delivery.decision import settle
from mailsluice.delivery.envelope_queue import EnvelopeQueue
from mailsluice.delivery.health import ConnectionHealth
from mailsluice.delivery.session_lengths import SessionLengths
from mailsluice.delivery.trial import Trial
from mailsluice.reports.progress import Tally
from mailsluice.smtp.session import SessionError
from mailsluice.store import Claimed

_POISON = 9  # what a recipient may cost before that counts as its own trouble: a session that had
_FRESH, _PROVEN = 3, 1  # carried no mail before it counts for more than one that had
_CLOSING = 421


class SessionHistory:
    """What one session has been through."""

    __slots__ = ("blames", "carried", "is_over")

    def __init__(self) -> None:
        self.carried = 0
        """Recipients that the server has dealt with in it."""
        self.blames = False
        """Whether it ended at a recipient that had cost a session before."""
        self.is_over = False
        """Whether it has ended at one recipient; others in flight are not to blame."""

    def spend(self) -> None:
        """The server takes no more mail in this session: let it end."""


class OutcomeHandler:
    """Draws them, for one connection: books outcomes, puts recipients back, tells its health."""

    def __init__(
        self,
        connection: str,
        bookkeeper: Bookkeeper,
        stock: ClaimedRecipients,
        queue: EnvelopeQueue,
        health: ConnectionHealth,
        *,
        retry: Retry,
        uncertain: UncertainPolicy,
        is_stopping: Callable[[], bool],
        chance: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._bookkeeper = bookkeeper
        self._stock = stock
        self._queue = queue
        self._health = health
        self._retry = retry
        self._uncertain = uncertain
        self._is_stopping = is_stopping
        self._chance = chance
        self._trial = Trial(
            connection,
            bookkeeper,
            stock,
            queue,
            health,
            record=self._record,
            put_off=partial(self._record, verdict=Verdict.DEFERRED, uses_attempt=False),
            accepted=lambda: self.accepted,
        )
        self._longest = 0
        """The most that a session has carried."""
        self._cost: Counter[int] = Counter()
        self._behind_refusal: set[int] = set()
        self._throttled: dict[int, int] = {}
        """Recipients that the server throttled once, and how many it had accepted by then."""
        self._lengths = SessionLengths()
        self.accepted = 0
        """Messages that the server took, so far."""
        self._others: Counter[RecipientStatus] = Counter()
        """What became of messages that were not accepted."""

    @property
    def messages_per_session(self) -> int | None:
        """After how many messages the server takes no more in a session; None: not known to."""
        return self._lengths.learnt

    def tally(self) -> Tally:
        """What became of recipients here."""
        return Tally(
            sent=self.accepted + self._others[RecipientStatus.SENT],
            failed=self._others[RecipientStatus.FAILED] + self._queue.unrenderable,
            uncertain=self._others[RecipientStatus.UNCERTAIN],
            deferrals=self._others[RecipientStatus.DEFERRED],
        )

    def draw(
        self, row: Claimed, attempt: Attempt, session: SessionHistory, number: int = 0
    ) -> None:
        """This is what came of a message, the `number`th that was started, in a session."""
        outcome = classify(attempt)
        verdict, trouble = outcome.verdict, outcome.trouble
        if trouble is Trouble.DOWN:
            self._trial.refused(row, attempt, number, is_spoken=True)
        elif verdict is Verdict.UNTOUCHED:
            self._put_back(row, attempt, trouble, session)
        else:
            if trouble is Trouble.THROTTLED:
                self._health.throttled()
            if verdict is Verdict.UNCERTAIN:
                session.is_over = True
            else:
                session.carried += 1
                self._longest = max(self._longest, session.carried)
                self._health.breaker.succeeded()
            self._conclude_from(row, attempt, verdict, number)
        if self._trial.is_open:
            self._trial.proceed()

    def _conclude_from(self, row: Claimed, attempt: Attempt, verdict: Verdict, number: int) -> None:
        if verdict is Verdict.ACCEPTED:
            self._record(row, attempt, verdict)
            self._health.slowdown.accepted()
            if self._trial.is_open:
                self._trial.accepted(number)
        elif verdict is Verdict.FAILED and not attempt.refused_here:
            self._trial.refused(row, attempt, number, is_spoken=False)
        elif verdict is Verdict.DEFERRED and not is_about_the_recipient(attempt):
            self._trial.deferred(row, attempt, number)
        else:
            self._record(row, attempt, verdict)

    async def conclude(self) -> None:
        """Decide about the suspects when no other recipient is left to be tried, for now."""
        await self._trial.conclude(self._is_stopping)

    def put_back_suspects(self) -> None:
        """Put the suspects back as pending: no decision about them will come."""
        self._trial.put_back()

    def _put_back(
        self, row: Claimed, attempt: Attempt, trouble: Trouble, session: SessionHistory
    ) -> None:
        """The recipient's turn comes again; not for ever, where it may be to blame itself."""
        if session.is_over:
            self._stock.put_back(row)
            return
        goes_on = attempt.code is not None and attempt.code != _CLOSING
        session.is_over = not goes_on
        if goes_on and trouble is Trouble.THROTTLED:
            self._throttle(row, attempt, session)
            return
        is_known = self._cost[row.id] or row.attempts
        session.blames = bool(is_known) and self._health.breaker.has_worked
        if goes_on and self._was_behind_refusal(row):
            trouble = Trouble.NONE  # that is known, and acted upon
        if trouble is Trouble.THROTTLED and not session.carried and not is_known:
            self._health.throttled()
        if goes_on and not session.blames and trouble is not Trouble.NONE:
            self._health.refuses_everybody(trouble, SessionError(attempt))
        # One that has carried as much as any ends because the server ends them after so much.
        is_at_its_end = 0 < session.carried == self._longest
        if not (self._is_stopping() or self._health.down or is_at_its_end):
            self._cost[row.id] += _PROVEN if session.carried else _FRESH
        if self._cost[row.id] >= _POISON:
            del self._cost[row.id]
            self._record(row, attempt, Verdict.DEFERRED)
        elif session.carried:
            self._stock.put_back(row)
        else:
            self._stock.put_last(row)

    def _throttle(self, row: Claimed, attempt: Attempt, session: SessionHistory) -> None:
        """The server asks for less mail: the recipient uses no attempt.

        Its turn comes again at once; where it is throttled again, later, since others may be
        accepted: then it was about this recipient.
        """
        if self._lengths.is_spent(attempt, session.carried, is_slow=self._is_slow):
            session.is_over = True
            session.spend()
            self._stock.put_back(row)
            return
        before = self._throttled.get(row.id)
        if before in (None, self.accepted) and not self._was_behind_refusal(row):
            self._health.takes_nothing()
        if attempt.phase is Phase.MAIL or before is None:
            self._throttled[row.id] = self.accepted
            self._stock.put_back(row)
        else:
            self._record(row, attempt, Verdict.DEFERRED, uses_attempt=False)

    @property
    def _is_slow(self) -> bool:
        return self._health.slowdown.is_slow

    def _was_behind_refusal(self, row: Claimed) -> bool:
        """Whether it was on its way already when the last one was refused: that is no news."""
        if row.id in self._behind_refusal:
            self._behind_refusal.discard(row.id)
            return True
        self._behind_refusal = self._queue.under_way()
        return False

    def _record(
        self, row: Claimed, attempt: Attempt, verdict: Verdict, *, uses_attempt: bool = True
    ) -> None:
        settled = settle(
            row,
            attempt,
            verdict,
            connection=self._connection,
            retries=self._retry,
            policy=self._uncertain,
            chance=self._chance,
            uses_attempt=uses_attempt,
        )
        self._bookkeeper.settle(settled)
        if self._throttled:
            self._throttled.pop(row.id, None)
        if verdict is Verdict.ACCEPTED:
            self.accepted += 1
        else:
            self._others[settled.status] += 1
        if settled.delay_seconds is not None:
            self._stock.expect(settled.delay_seconds)
