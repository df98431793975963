"""Count what the replies of one connection say, by mailbox provider, for the stop-loss."""

from __future__ import annotations

from collections import defaultdict

from mailsluice.bounces.refusal import is_block
from mailsluice.core.outcome import Attempt, Verdict
from mailsluice.stop_loss import Figures

_FOR_GOOD = 500


class ReplyFigures:
    """Counts of the recipients of one connection in this run."""

    def __init__(self) -> None:
        self._sent: defaultdict[int, int] = defaultdict(int)
        self._refused: defaultdict[int, int] = defaultdict(int)
        self._blocked: defaultdict[int, int] = defaultdict(int)
        self._put_off: defaultdict[int, int] = defaultdict(int)
        self._deferred: defaultdict[int, int] = defaultdict(int)

    def accepted(self, provider: int) -> None:
        """Count an accepted message."""
        self._sent[provider] += 1

    def not_accepted(self, provider: int, attempt: Attempt, verdict: Verdict) -> None:
        """Count a reply that refuses a message, or puts it off."""
        is_refusal = verdict is Verdict.FAILED and (attempt.code or 0) >= _FOR_GOOD
        if is_refusal and not attempt.refused_here:
            self._refused[provider] += 1
        if verdict is Verdict.DEFERRED and attempt.code is not None:
            self._deferred[provider] += 1
        if is_block(attempt):
            self._blocked[provider] += 1
            self._put_off[provider] += not is_refusal

    def so_far(self) -> dict[int, Figures]:
        """The counts by provider."""
        return {
            provider: Figures(
                self._sent.get(provider, 0),
                self._refused.get(provider, 0),
                self._blocked.get(provider, 0),
                self._put_off.get(provider, 0),
                deferred=self._deferred.get(provider, 0),
            )
            for provider in set().union(self._sent, self._refused, self._blocked, self._deferred)
        }
