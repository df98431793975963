"""SMTP servers that nobody here wrote: Debian's postfix, and aiosmtpd."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from deployments.server import free_port
from tests.eventually import PATIENCE_SECONDS, eventually
from tests.integration.daemons import require
from tests.integration.postfix import MASTER, postfix
from tests.integration.smtp_fixtures import Certificates

SIZE_LIMIT = 200_000
_MESSAGE_ID = re.compile(rb"^Message-ID: <(.+)>\r?$", re.MULTILINE)


@dataclass(frozen=True)
class RealServer:
    """A running one. Refuses recipients as their address wants it: `550-at-rcpt`, `450-at-rcpt`."""

    ports: Mapping[str, int]
    """Where what it offers leads to this kind of session; "unsized": all but SIZE."""
    mail: Callable[[], list[bytes]]
    """All that it took and has delivered so far."""
    is_idle: Callable[[], bool]
    """Whether that is all that it took."""
    certificates: Certificates

    def bodies(self, message_ids: Collection[str]) -> dict[str, list[bytes]]:
        """What arrived of these, each as often as it did."""
        eventually(self.is_idle, what="all mail is delivered")
        found: dict[str, list[bytes]] = {}
        for content in self.mail():
            header, _, body = content.replace(b"\r\n", b"\n").partition(b"\n\n")
            match = _MESSAGE_ID.search(header)
            if match is not None and match[1].decode() in message_ids:
                found.setdefault(match[1].decode(), []).append(body)
        return found


@contextmanager
def postfix_server(certificates: Certificates) -> Iterator[RealServer]:
    """Offers CHUNKING; delivers a little later. Skips where it is missing, but not in CI."""
    require(MASTER, "postfix")
    withheld = {
        "sequential": "pipelining,chunking",
        "pipelined": "chunking",
        "chunked": "dsn",
        "unsized": "size",
    }
    with postfix(certificates, SIZE_LIMIT, list(withheld.values())) as running:
        ports = {kind: running.ports[one] for kind, one in withheld.items()}
        yield RealServer(ports, running.mail, running.is_idle, certificates)


class _Inbox:
    """A handler of aiosmtpd. It takes pipelined commands as well, but does not say so itself."""

    def __init__(self, keywords: list[str]) -> None:
        self.mail: list[bytes] = []
        self._keywords = keywords

    async def handle_EHLO(  # noqa: N802 aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, name: str, replies: list[str]
    ) -> list[str]:
        session.host_name = name
        return [replies[0], *(f"250-{one}" for one in self._keywords), *replies[1:]]

    async def handle_RCPT(  # noqa: N802 aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "-at-rcpt" in address:
            return f"{address[:3]} {address[0]}.2.1 as the address wants it"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(  # noqa: N802 aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.original_content, bytes)
        self.mail.append(envelope.original_content)
        return "250 2.0.0 Ok"


@contextmanager
def aiosmtpd_server(certificates: Certificates) -> Iterator[RealServer]:
    """Offers no CHUNKING."""
    inboxes = {"sequential": _Inbox([]), "pipelined": _Inbox(["PIPELINING"])}
    controllers = {
        kind: Controller(
            inbox,
            hostname="127.0.0.1",
            port=free_port(),
            data_size_limit=SIZE_LIMIT,
            enable_SMTPUTF8=True,
            tls_context=certificates.context(),
            ready_timeout=PATIENCE_SECONDS,
        )
        for kind, inbox in inboxes.items()
    }
    for one in controllers.values():
        one.start()
    try:
        yield RealServer(
            {kind: one.port for kind, one in controllers.items()},
            lambda: [mail for inbox in inboxes.values() for mail in inbox.mail],
            lambda: True,
            certificates,
        )
    finally:
        for one in controllers.values():
            one.stop()
