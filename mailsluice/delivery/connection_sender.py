"""Send to the recipients of one connection.

Everything here runs on one event loop, and nothing waits for the store.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import replace

from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import OutboxError
from mailsluice.core.outcome import Attempt, Phase
from mailsluice.delivery.connection_state import ConnectionState, SenderContext, SenderSettings
from mailsluice.delivery.envelope_queue import EnvelopeQueue
from mailsluice.delivery.failover import Condition
from mailsluice.delivery.outcome_handler import OutcomeHandler, SessionHistory
from mailsluice.delivery.rule_book import ConnectionRules, named
from mailsluice.delivery.session_feed import SessionFeed
from mailsluice.delivery.session_pool import OpenSession, SessionPool
from mailsluice.limits import Pace
from mailsluice.message import CompiledMessage
from mailsluice.reports.progress import ConnectionFacts, Tally
from mailsluice.smtp.connection import Connection
from mailsluice.stop_loss import Figures, Unit

_REFUSED = 400
_SOON_SECONDS = 20.0  # deferred recipients due sooner may show whether a connection works


class ConnectionSender:
    """The sessions of one connection, the queue that feeds them, and what their replies mean."""

    def __init__(
        self,
        connection: Connection,
        message: CompiledMessage,
        context: SenderContext,
        *,
        open_session: OpenSession,
        rules: ConnectionRules | None = None,
        settings: SenderSettings | None = None,
        providers: Mapping[int, str] | None = None,
    ) -> None:
        """`providers` are the names of the campaign's mailbox providers, by number."""
        self._state = state = ConnectionState(
            connection, context, settings or SenderSettings(), self._on_change, providers
        )
        self._journal = context.journal
        self.queue = EnvelopeQueue(message, state)
        self._outcomes = OutcomeHandler(state, self.queue)
        self._sessions = SessionPool(
            state,
            self.queue,
            open_session=open_session,
            feed=lambda: SessionFeed(self.queue, self._dot, self._settled),
        )
        self._concluding: asyncio.Task[None] | None = None
        self._is_held = False
        if rules:
            state.lanes.follow(*rules)

    @property
    def down(self) -> str | None:
        """Why the connection went down in this run; None while it works."""
        return self._state.health.down

    @property
    def sent(self) -> int:
        """Messages accepted so far."""
        return self._state.accepted

    def next_at(self, now: float) -> float:
        """When this connection has something to do; infinity: never."""
        if self.queue.is_over:
            return math.inf
        if self._sessions.open or self._concluding:
            return now
        at = max(self.queue.mail_at(now), self._state.health.session_at(0))
        if self._state.context.pool and (held_until := self.queue.held_until(now)) < math.inf:
            at = max(at, held_until)  # a look whether recipients are left is nothing to do
        if at == math.inf and not self.queue.is_idle:
            return now  # the store's answer comes soon
        return at

    def tally(self) -> Tally:
        """Count what became of recipients in this run, and what was claimed from a pool."""
        return replace(self._outcomes.tally(), assigned=self._state.lanes.claimed_from_pool)

    def figures(self) -> dict[Unit, Figures]:
        """Count the replies in this run by mailbox provider."""
        figures = self._outcomes.figures().items()
        return {Unit(self._state.name, provider): counts for provider, counts in figures}

    def facts(self, now: float) -> ConnectionFacts:
        """The facts that tell what this connection waits for."""
        state = self._state
        breaker, slowdown = state.health.breaker, state.health.slowdown
        held, waits = state.starts.held(), state.lanes.waits(now)
        has_pool = state.context.pool is not None
        return ConnectionFacts(
            is_stopping=state.is_stopping,
            is_held=self._is_held,
            waits_for_canary=state.lanes.main.waits_for_canary,
            zone=state.lanes.main.waits_for_zone,
            is_over=self.queue.is_idle,
            may_receive=state.context.may_receive(state.name),
            down=self.down,
            has_pool=has_pool,
            in_stock=len(state.lanes),
            due_at=state.lanes.next_recipient_at if has_pool else state.lanes.due_at,
            in_flight=self.queue.in_flight,
            sessions=self._sessions.logged_in,
            session_at=breaker.retry_at,
            is_resting=breaker.is_open,
            trouble=breaker.trouble,
            slowed_until=slowdown.next_at,
            per_second=slowdown.per_second(now),
            limited_until=held[1] if held else -math.inf,
            limit=named(held[0]) if held else "",
            is_paced=held is not None and isinstance(held[0].rule, Pace),
            held=[str(wait) for wait in waits],
            waiting=tuple(wait.number for wait in waits),
            held_until=waits[0].until if waits and state.lanes.rests_until > now else -math.inf,
        )

    async def run(self) -> None:
        """Send until nothing is left, the connection is down, or `stop` is called.

        Recipients that were claimed and not sent to are released. Raises OutboxError where outcomes
        cannot be recorded any more.
        """
        try:
            await self._sessions.run()
        finally:
            if self._concluding:
                await self._concluding
            self._outcomes.put_back_suspects()
            await self._state.lanes.close()
        await self._state.context.store.flush()
        if self.queue.failure:
            raise self.queue.failure

    async def give_back(self) -> None:
        """Release the recipients that wait, and claim none until `receive`: others take them over.

        Returns when that is committed.
        """
        await self._state.lanes.give_back()
        await self._state.context.store.flush()

    def receive(self) -> None:
        """Claim recipients that may have come from another connection."""
        if not self._state.has_ended:
            self._state.lanes.receive()

    def look(self) -> None:
        """Look again whether the connection is done: other connections have changed."""
        self._on_change()

    def condition(self) -> Condition:
        """Whether the connection works, for others that may take over its recipients."""
        breaker = self._state.health.breaker
        return Condition(
            is_over=self._state.has_ended,
            is_idle=self.queue.is_idle,
            down=breaker.down,
            rests_since=breaker.opened_at,
        )

    def stop(self) -> None:
        """Start no more messages; `run` returns when the messages in flight are settled."""
        self._state.stopped.set()
        self._on_change()

    def hold_all(self) -> None:
        """Send nothing more in this run, as an operator has to decide about the connection."""
        self._is_held = True
        self.stop()

    def hold(self, provider: int) -> None:
        """Send nothing more to a mailbox provider, given by its number; others go on.

        Its recipients that wait are released, and messages in flight finish. The connection is done
        when only held providers have recipients left.
        """
        self._state.lanes.hold(provider)
        self._on_change()

    def release(self, provider: int) -> None:
        """Go on with a mailbox provider that was held."""
        self._state.lanes.release(provider)
        self._on_change()

    def update(self, connection: Connection, rules: ConnectionRules) -> None:
        """Use these settings from the next session on, these limits from the next message on."""
        self._state.use(connection)
        self._state.lanes.follow(*rules)
        if not self._state.is_stopping:
            self._sessions.grow()
        self._on_change()

    def _dot(self, envelope: Envelope) -> None:
        self._journal.dot(envelope.recipient_id)

    def _settled(self, envelope: Envelope, attempt: Attempt, session: SessionHistory) -> None:
        code = attempt.code
        if attempt.phase is not Phase.BODY or (code is not None and code >= _REFUSED):
            # The server has not taken the message. Whose fault a refusal is may be decided much
            # later; after a crash before that decision the recipient is pending.
            self._journal.forget((envelope.recipient_id,))
        elif code is not None:
            self._journal.reply(envelope.recipient_id, code)
        is_unused = attempt.phase is Phase.MAIL and code is None
        row, number = self.queue.finished(envelope, is_unused=is_unused)
        self._outcomes.handle(row, attempt, session, number)
        self.queue.serve()
        if self._state.lanes.undecided:
            self._conclude_at_the_end()

    def _conclude_at_the_end(self) -> None:
        """Decide about the suspects where no other recipient can be tried soon."""
        if self._concluding or self._state.is_stopping or self.queue.in_flight:
            return
        context = self._state.context
        later = self._state.lanes.next_recipient_at - context.clock()
        if later > _SOON_SECONDS or (later > 0 and context.store.has_peers):
            self._concluding = asyncio.ensure_future(self._conclude())

    async def _conclude(self) -> None:
        try:
            await self._outcomes.conclude()
        except OutboxError:  # `run` raises it as well, and the suspects stay pending
            self.stop()
        self._concluding = None
        self._on_change()

    def _on_change(self) -> None:
        self.queue.serve()
        if self._state.lanes.undecided:
            self._conclude_at_the_end()
        self._sessions.wake()
