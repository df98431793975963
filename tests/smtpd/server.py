"""A test server in a thread of its own."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from tests.eventually import PATIENCE_SECONDS
from tests.smtpd.faults import Fault, Script
from tests.smtpd.recording import Received
from tests.smtpd.session import SmtpSession
from tests.smtpd.settings import Settings


def session_factory(
    settings: Settings,
    record: Callable[[Received], None],
    logins: Counter[str],
    script: Script | None = None,
) -> Callable[[], SmtpSession]:
    """Makes the sessions of one server: they share the script and are numbered from 1."""
    script = script or Script(settings.faults, settings.everybody)
    numbers = iter(range(1, 1 << 60))

    def logged_in(result: str) -> None:
        logins[result] += 1

    return lambda: SmtpSession(next(numbers), settings, script, record, logged_in)


class SmtpServer:
    """Listens on 127.0.0.1 while the `with` block runs.

    A message is in `received` before its 250 leaves, so a client that has its reply finds it there.
    """

    def __init__(
        self, settings: Settings | None = None, *, faults: Mapping[str, Fault] | None = None
    ) -> None:
        self.settings = settings or Settings(faults=faults or {})
        self.received: list[Received] = []
        self.script = Script(self.settings.faults, self.settings.everybody)
        self.logins: Counter[str] = Counter()
        """How many logins were "ok" and "refused"."""
        self.sessions = 0
        self.open = 0
        """How many sessions are open now."""
        self.most_open = 0
        """How many were open at once at most."""
        self.host = "127.0.0.1"
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._made: list[SmtpSession] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def over_limit(self) -> int:
        """How often MAIL came in a session that takes no more."""
        return self.script.over_limit

    @property
    def struck(self) -> int:
        """How often the fault that strikes everybody did."""
        return self.script.struck

    @property
    def recipients(self) -> Counter[str]:
        """How often each recipient's message was accepted."""
        return Counter(one.recipient for one in self.received)

    @property
    def held(self) -> int:
        """How many sessions wait for the reply to a message."""
        return sum(session.is_held for session in self._made)

    def hold(self, after: int = 0) -> None:
        """Hold back the replies to messages beyond so many, until `release`.

        Each session is then in the middle of a message: the client knows nothing of what became
        of it, although it is in `received`.
        """
        self.script.answered = after

    def release(self, until: float = math.inf) -> None:
        """Give the replies that were held back; hold back those to messages beyond so many."""
        self.script.answered = until
        self._loop.call_soon_threadsafe(self._let_go)

    def recover(self) -> None:
        """Let the fault that strikes everybody strike no more."""
        self.script.recover()

    def _let_go(self) -> None:
        for session in self._made:
            session.let_go()

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(PATIENCE_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Drop all sessions and listen no more; may be called again."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    async def _start(self) -> None:
        make = session_factory(self.settings, self.received.append, self.logins, self.script)

        def counted() -> SmtpSession:
            session = make()
            self._made.append(session)
            self._opened(session)
            return session

        tls = self.settings.tls if self.settings.tls_from_start else None
        self._server = await self._loop.create_server(counted, self.host, self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    def _opened(self, session: SmtpSession) -> None:
        def closed(_: Exception | None) -> None:
            session.is_held = False
            self.open -= 1
            self.script.open -= 1

        session.connection_lost = closed  # type: ignore[method-assign, assignment]
        self.sessions += 1
        self.open += 1
        self.script.open += 1
        self.most_open = max(self.most_open, self.open)

    async def _stop(self) -> None:
        """Close what listens, and all sockets that were accepted, before the loop ends."""
        self._server.close()
        await asyncio.sleep(0)  # a socket that was accepted just now gets its transport
        for session in self._made:
            session.drop()
        handshakes = asyncio.all_tasks() - {asyncio.current_task()}
        for handshake in handshakes:
            handshake.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)
        await asyncio.sleep(0)  # the transports close their sockets and tell their end
