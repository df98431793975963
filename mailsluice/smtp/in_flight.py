"""The envelopes that a session has taken from its feed and not settled yet."""

from __future__ import annotations

from mailsluice.core.envelope import Envelope
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.smtp.commands import Offer, refusal
from mailsluice.smtp.dkim.signing import Signer
from mailsluice.smtp.session import Feed


class InFlight:
    """A session's view of its feed, which ends at the session's limit.

    Envelopes that the server cannot take are settled at once. Every other envelope that was taken
    is settled exactly once, even if an unexpected error ends the session.
    """

    def __init__(
        self, feed: Feed, offer: Offer, limit: int | None, signer: Signer | None = None
    ) -> None:
        self._feed = feed
        self._offer = offer
        self._left = limit
        self._signer = signer
        self._open: list[Envelope] = []
        self._dotted: list[Envelope] = []

    async def next(self) -> Envelope | None:
        """Return the next envelope that the server can take; None when the session should end."""
        while self._left != 0:
            envelope = await self._feed.next()
            if envelope is None:
                self._left = 0
            elif taken := self._take(envelope):
                return taken
        return None

    def next_nowait(self) -> Envelope | None:
        """Return the next envelope that the server can take, if it may be sent at once."""
        while self._left != 0:
            envelope = self._feed.next_nowait()
            if envelope is None or (envelope := self._take(envelope)):
                return envelope
        return None

    def _take(self, envelope: Envelope) -> Envelope | None:
        if self._signer is not None:
            envelope = self._signer.begin(envelope)  # first, since a signature adds to the size
        attempt = refusal(envelope, self._offer)
        if attempt is not None:
            self._feed.settled(envelope, attempt)
            return None
        self._open.append(envelope)
        if self._left is not None:
            self._left -= 1
        return envelope

    def dot(self, envelope: Envelope) -> None:
        """Note that the final dot of this envelope is about to be written."""
        self._feed.dot(envelope)
        self._dotted.append(envelope)

    def has_dot(self, envelope: Envelope) -> bool:
        """Whether the whole message may have left."""
        return envelope in self._dotted

    def settle(self, envelope: Envelope, attempt: Attempt) -> None:
        """Report how the envelope's transaction ended."""
        self._open.remove(envelope)
        if envelope in self._dotted:
            self._dotted.remove(envelope)
        self._feed.settled(envelope, attempt)

    def settle_rest(self, text: str) -> None:
        """Settle the open envelopes when the session ends, by whether their dot may have left."""
        for envelope in tuple(self._open):
            phase = Phase.BODY if self.has_dot(envelope) else Phase.DATA
            self.settle(envelope, Attempt(phase, None, text))
