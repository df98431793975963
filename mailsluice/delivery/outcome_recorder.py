"""Record what became of recipients, and count it."""

from __future__ import annotations

from collections import Counter

from mailsluice.core.outcome import Attempt, Verdict
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.connection_state import ConnectionState
from mailsluice.delivery.decision import settle
from mailsluice.delivery.reply_figures import ReplyFigures
from mailsluice.store import Claimed


class OutcomeRecorder:
    """The one way from an attempt to a recipient's row."""

    def __init__(self, state: ConnectionState) -> None:
        self._state = state
        self._store = state.context.store
        self.counts: Counter[RecipientStatus] = Counter()
        """The statuses recorded here, except those of accepted messages."""
        self.figures = ReplyFigures()
        self.throttled: dict[int, int] = {}
        """Recipients that the server throttled, and how many messages it had accepted by then.

        An outcome removes its recipient.
        """

    def record(
        self, row: Claimed, attempt: Attempt, verdict: Verdict, *, uses_attempt: bool = True
    ) -> None:
        """Record how an attempt ended; a deferred recipient is claimed again when it is due."""
        settings = self._state.settings
        settled = settle(
            row,
            attempt,
            verdict,
            connection=self._state.name,
            retries=settings.retry,
            policy=settings.uncertain,
            chance=self._state.context.chance,
            uses_attempt=uses_attempt,
        )
        self._store.settle(settled)
        if self.throttled:
            self.throttled.pop(row.id, None)
        if verdict is Verdict.ACCEPTED:
            self._state.accepted += 1
            self.figures.accepted(row.provider)
        else:
            self.counts[settled.status] += 1
            self.figures.not_accepted(row.provider, attempt, verdict)
        if settled.delay_seconds is not None:
            self._state.lanes.expect(row, settled.delay_seconds)

    def put_off(self, row: Claimed, attempt: Attempt) -> None:
        """Have the recipient tried later without using one of its attempts."""
        self.record(row, attempt, Verdict.DEFERRED, uses_attempt=False)
