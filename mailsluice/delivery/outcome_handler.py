"""Act on each attempt: for its recipient, its session and the connection."""

from __future__ import annotations

from mailsluice.core.outcome import (
    ACCEPTED,
    Attempt,
    Phase,
    Trouble,
    Verdict,
    classify,
    is_about_the_recipient,
)
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.connection_state import ConnectionState
from mailsluice.delivery.envelope_queue import EnvelopeQueue
from mailsluice.delivery.judgement import Failure, Turn, judge
from mailsluice.delivery.outcome_recorder import OutcomeRecorder
from mailsluice.delivery.provider_replies import ProviderReplies
from mailsluice.delivery.trial import Trial
from mailsluice.reports.progress import Tally
from mailsluice.smtp.session import SessionError
from mailsluice.stop_loss import Figures
from mailsluice.store import Claimed

_CLOSING = 421


class SessionHistory:
    """The history of one session: how many recipients it carried, and how it ended."""

    __slots__ = ("blames", "carried", "is_over")

    def __init__(self) -> None:
        self.carried = 0
        """Recipients that the server has dealt with in this session."""
        self.blames = False
        """Whether the session's end says nothing about the connection: a mailbox provider is to
        blame, or a recipient that had cost a session before."""
        self.is_over = False
        """Whether the session has ended at one recipient; others in flight are not to blame."""

    def spend(self) -> None:
        """The server takes no more mail in this session: let it end."""


class OutcomeHandler:
    """Act on the attempts of one connection.

    An outcome is recorded, the recipient is put back, or a trial decides about it; the
    connection's health takes note, unless the reply blames a mailbox provider.
    """

    def __init__(self, state: ConnectionState, queue: EnvelopeQueue) -> None:
        self._state = state
        self._queue = queue
        self._lanes = state.lanes
        self._health = state.health
        self._recorder = OutcomeRecorder(state)
        self._trial = Trial(state, queue, self._recorder)
        self._providers = ProviderReplies(state)
        self._longest = 0
        """The most that a session has carried."""
        self._points: dict[int, int] = {}
        """The points (`judge`) of recipients that sessions have failed at, by their ids."""
        self._closed_at_mail: dict[int, int] = {}
        """By recipients whose MAIL was answered with 421: how many had been accepted then."""
        self._behind_failure: set[int] = set()
        """Recipients whose messages were on their way at the last failure."""
        self._throttled = self._recorder.throttled

    def tally(self) -> Tally:
        """Count what became of recipients in this run."""
        counts = self._recorder.counts
        return Tally(
            sent=self._state.accepted + counts[RecipientStatus.SENT],
            failed=counts[RecipientStatus.FAILED] + self._queue.unrenderable,
            uncertain=counts[RecipientStatus.UNCERTAIN],
            deferrals=counts[RecipientStatus.DEFERRED],
        )

    def figures(self) -> dict[int, Figures]:
        """Count the replies in this run by mailbox provider."""
        return self._recorder.figures.so_far()

    def handle(
        self, row: Claimed, attempt: Attempt, session: SessionHistory, number: int = 0
    ) -> None:
        """Act on how the attempt for the `number`th message that was started has ended."""
        outcome = classify(attempt)
        verdict, trouble = outcome.verdict, outcome.trouble
        if outcome is not ACCEPTED and self._blames_a_provider(row, attempt, session):
            pass  # the connection, and the trial of it, are not concerned
        elif trouble is Trouble.DOWN:
            self._trial.refused(row, attempt, number, is_spoken=True)
        elif verdict is Verdict.UNTOUCHED:
            self._untouched(row, attempt, trouble, session)
        else:
            if trouble is Trouble.THROTTLED:
                self._health.throttled()
            if verdict is Verdict.UNCERTAIN:
                session.is_over = True
            else:
                self._dealt_with(session)
            self._decided(row, attempt, verdict, number)
        if self._trial.is_open:
            self._trial.proceed()

    def _dealt_with(self, session: SessionHistory) -> None:
        """Note that the server has dealt with a recipient, so that the connection works."""
        session.carried += 1
        self._longest = max(self._longest, session.carried)
        self._health.breaker.succeeded()

    def _blames_a_provider(self, row: Claimed, attempt: Attempt, session: SessionHistory) -> bool:
        """Defer a recipient whose mailbox provider is to blame; False where it is not."""
        blame = self._providers.blame(row, attempt)
        if blame is None:
            return False
        self._providers.slow_down(row, blame)
        if session.is_over:
            self._lanes.put_back(row)
            return True
        if attempt.code == _CLOSING:
            session.is_over = session.blames = True
        else:
            self._dealt_with(session)
        self._recorder.record(row, attempt, Verdict.DEFERRED)
        return True

    def _decided(self, row: Claimed, attempt: Attempt, verdict: Verdict, number: int) -> None:
        """Record a verdict about a recipient, unless it may be about everybody."""
        if verdict is Verdict.FAILED and not attempt.refused_here:
            self._trial.refused(row, attempt, number, is_spoken=False)
        elif verdict is Verdict.DEFERRED and not is_about_the_recipient(attempt):
            self._trial.deferred(row, attempt, number)
        else:
            self._recorder.record(row, attempt, verdict)
        if verdict is Verdict.ACCEPTED:
            self._health.slowdown.accepted()
            if self._providers.is_alert:
                self._providers.accepted(row)
            if self._trial.is_open:
                self._trial.accepted(number)

    async def conclude(self) -> None:
        """Decide about the suspects when no other recipient is left to be tried, for now."""
        await self._trial.conclude()

    def put_back_suspects(self) -> None:
        """Put the suspects back as pending: no decision about them will come."""
        self._trial.put_back()

    def _untouched(
        self, row: Claimed, attempt: Attempt, trouble: Trouble, session: SessionHistory
    ) -> None:
        """The server has not decided about the recipient: try it again, or blame it."""
        if session.is_over:
            self._lanes.put_back(row)
            return
        session_goes_on = attempt.code is not None and attempt.code != _CLOSING
        if session_goes_on and trouble is Trouble.THROTTLED:
            self._throttle(row, attempt, session)
            return
        session.is_over = True
        if session_goes_on:  # 503: a session of its own shows whether that is the recipient's fault
            session.spend()
        failure = Failure(
            trouble,
            session_goes_on,
            session.carried,
            self._longest,
            self._points.get(row.id, 0),
            row.attempts > 0,
            self._health.breaker.has_worked,
            session_goes_on and self._was_behind_failure(row),
            self._is_ending,
            self._closes_to_all(row, attempt),
        )
        judgement = judge(failure)
        session.blames = judgement.blames_recipient
        if judgement.blames_connection:
            self._health.refuses_everybody(trouble, SessionError(attempt))
            judgement = judge(failure._replace(is_ending=self._is_ending))
        self._points[row.id] = judgement.points
        self._give_turn(row, attempt, judgement.turn)

    def _closes_to_all(self, row: Claimed, attempt: Attempt) -> bool:
        """Note a 421 in reply to MAIL; returns whether nobody was accepted since the last one.

        Return paths differ by recipient, so a server may have something against one of them.
        """
        if attempt.phase is not Phase.MAIL or attempt.code != _CLOSING:
            return False
        before = self._closed_at_mail.get(row.id)
        self._closed_at_mail[row.id] = self._state.accepted
        return before in (None, self._state.accepted)

    @property
    def _is_ending(self) -> bool:
        return self._state.is_stopping or self._health.down is not None

    def _give_turn(self, row: Claimed, attempt: Attempt, turn: Turn) -> None:
        if turn is Turn.LATER:
            self._recorder.record(row, attempt, Verdict.DEFERRED)
        elif turn is Turn.NEXT:
            self._lanes.put_back(row)
        else:
            self._lanes.put_last(row)

    def _throttle(self, row: Claimed, attempt: Attempt, session: SessionHistory) -> None:
        """The server asks for less mail: the recipient uses no attempt.

        The recipient is tried again at once. If the server throttles it again while it accepts
        others, the recipient is tried later: then the reply was about this recipient.
        """
        lengths, is_slow = self._state.session_lengths, self._health.slowdown.is_slow
        if lengths.is_spent(attempt, session.carried, is_slow=is_slow):
            session.is_over = True
            session.spend()
            self._lanes.put_back(row)
            return
        before = self._throttled.get(row.id)
        is_new = before in (None, self._state.accepted)
        if is_new and not self._was_behind_failure(row):
            self._health.takes_nothing()
        if attempt.phase is Phase.MAIL or before is None:
            self._throttled[row.id] = self._state.accepted
            self._lanes.put_back(row)
        else:
            self._recorder.put_off(row, attempt)

    def _was_behind_failure(self, row: Claimed) -> bool:
        """Whether the message was on its way already at the last failure; if not, this one counts.

        Replies to messages that were on their way then say nothing new.
        """
        if row.id in self._behind_failure:
            self._behind_failure.discard(row.id)
            return True
        self._behind_failure = self._queue.under_way()
        return False
