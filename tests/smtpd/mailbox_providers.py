"""A relay that gives the replies of mailbox providers, each by the domains that it hosts.

    google, microsoft = Greylists("gmail.com"), Throttles("outlook.com", per_second=20)
    with relay(google, microsoft) as server: ...
    assert most_in(1, google.times()) <= 50

A provider notes every recipient that it is asked about, with the moment and its reply, so that a
test can count any trailing window exactly. Domains of no provider are accepted.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from tests.smtpd.faults import Script, Stage
from tests.smtpd.server import SmtpServer
from tests.smtpd.settings import Settings


@dataclass(frozen=True, slots=True)
class Asked:
    """One RCPT command, and what came of it."""

    time: float
    """On the monotonic clock (one for all processes of a machine)."""
    recipient: str
    reply: bytes | None
    """None: the recipient was accepted."""


class MailboxProvider:
    """Accepts everybody, and notes who was asked about."""

    def __init__(self, *domains: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.domains = domains
        self.asked: list[Asked] = []
        self._clock = clock

    def answer(self, recipient: str) -> bytes | None:
        """Return the refusal of this recipient, or None where it is accepted."""
        now = self._clock()
        reply = self._reply(recipient, now)
        self.asked.append(Asked(now, recipient, reply))
        return reply

    def _reply(self, recipient: str, now: float) -> bytes | None:
        return None

    def times(self) -> list[float]:
        """When the provider was asked, whatever it replied: a limit counts attempts."""
        return [one.time for one in self.asked]

    def accepted(self) -> Counter[str]:
        """How often each recipient was accepted."""
        return Counter(one.recipient for one in self.asked if one.reply is None)

    def refused(self) -> Counter[bytes]:
        """How often each refusal was given."""
        return Counter(one.reply for one in self.asked if one.reply is not None)


class Greylists(MailboxProvider):
    """Defers the first attempt of each recipient (RFC 6647), and accepts later ones."""

    REPLY = b"451 4.7.1 Greylisting in action, please come back later"

    def __init__(self, *domains: str, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(*domains, clock=clock)
        self._seen: set[str] = set()

    def _reply(self, recipient: str, now: float) -> bytes | None:
        if recipient in self._seen:
            return None
        self._seen.add(recipient)
        return self.REPLY


class Throttles(MailboxProvider):
    """Defers what comes on top of so many accepted recipients in any trailing second."""

    SERVER_BUSY = (
        b"451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77719)"
        b" [AM0EUR02FT022.eop-EUR02.prod.protection.outlook.com]"
    )

    def __init__(
        self,
        *domains: str,
        per_second: int,
        reply: bytes = SERVER_BUSY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(*domains, clock=clock)
        self._per_second = per_second
        self._deferral = reply
        self._accepted: deque[float] = deque()

    def _reply(self, recipient: str, now: float) -> bytes | None:
        while self._accepted and self._accepted[0] <= now - 1.0:
            self._accepted.popleft()
        if len(self._accepted) >= self._per_second:
            return self._deferral
        self._accepted.append(now)
        return None


class Refuses(MailboxProvider):
    """Refuses an exact share of its recipients: of each 100 in turn so many, always the same."""

    REPLIES = (
        b"550 5.1.1 <%b>: Recipient address rejected: User unknown",
        b"550 5.7.1 Message from 192.0.2.1 rejected due to local policy",
    )
    """In turn: a dead address, and a block."""

    def __init__(
        self,
        *domains: str,
        percent: int,
        replies: tuple[bytes, ...] = REPLIES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(*domains, clock=clock)
        self._percent = percent
        self._replies = replies
        self._known: dict[str, bytes | None] = {}
        self._refusals = 0

    def accept_all(self) -> None:
        """Refuse nobody from now on."""
        self._percent = self._refusals = 0
        self._known.clear()

    def _reply(self, recipient: str, now: float) -> bytes | None:
        if recipient not in self._known:
            self._known[recipient] = self._first_reply(recipient)
        return self._known[recipient]

    def _first_reply(self, recipient: str) -> bytes | None:
        due = (len(self._known) + 1) * self._percent // 100
        if due == self._refusals:
            return None
        reply = self._replies[self._refusals % len(self._replies)]
        self._refusals = due
        return reply % recipient.encode() if b"%b" in reply else reply


class _ByDomain(Script):
    """The providers' replies to RCPT; the usual script for all else."""

    def __init__(self, settings: Settings, providers: tuple[MailboxProvider, ...]) -> None:
        super().__init__(settings.faults, settings.everybody)
        self._providers = {domain: one for one in providers for domain in one.domains}

    def due(self, stage: Stage, address: str = "*") -> bytes | None:
        if stage is Stage.RCPT:
            provider = self._providers.get(address.rpartition("@")[2])
            if provider is not None and (reply := provider.answer(address)) is not None:
                return reply
        return super().due(stage, address)


def relay(*providers: MailboxProvider, settings: Settings | None = None) -> SmtpServer:
    """Make a server, to be used in a `with` block, behind which these providers answer."""
    server = SmtpServer(settings)
    server.script = _ByDomain(server.settings, providers)
    return server
