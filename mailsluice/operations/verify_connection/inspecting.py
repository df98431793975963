"""The steps of an inspection, one after the other, until one fails."""

from __future__ import annotations

import socket
from contextlib import suppress
from datetime import datetime

from mailsluice.operations.verify_connection.diagnosis import ABOUT_CERTIFICATES
from mailsluice.operations.verify_connection.finding import ConnectionCheck, Result, Step
from mailsluice.operations.verify_connection.offered import consequences, keywords
from mailsluice.operations.verify_connection.record import Note, Record
from mailsluice.operations.verify_connection.shown import certificate_of, shown_certificate
from mailsluice.operations.verify_connection.trial_mail import OneMail, TrialMail
from mailsluice.smtp.commands import Offer
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import Opening
from mailsluice.smtp.reaching import is_loopback, look_up, reach
from mailsluice.smtp.replies import bounded
from mailsluice.smtp.session import SessionError, reply_text
from mailsluice.smtp.tokens import Tokens


async def inspect(
    connection: Connection, trial: TrialMail, now: datetime, tokens: Tokens | None = None
) -> ConnectionCheck:
    """Open a session step by step, and say what each step found.

    Sends a mail where one is wanted, else not even MAIL. `now` is an aware time: certificates and
    the mail's Date go by it. `tokens` are for a login with OAuth. Raises MessageError where no mail
    can be from this sender; all else that goes wrong is in what is given back.
    """
    mail = OneMail(trial.envelope(connection.name, now)) if trial.is_wanted else None
    inspector = _Inspector(connection, mail, now, tokens)
    with suppress(SessionError):  # it is in the record
        await inspector.run()
    if inspector.record.diagnosis in ABOUT_CERTIFICATES:
        await inspector.tell_certificate()
    return ConnectionCheck(
        connection.name,
        f"{connection.host}:{connection.port}, security {connection.security}",
        inspector.record.complete(),
        inspector.consequences,
        inspector.record.diagnosis,
    )


class _Inspector:
    def __init__(
        self, connection: Connection, mail: OneMail | None, now: datetime, tokens: Tokens | None
    ) -> None:
        self._connection = connection
        self._mail = mail
        self._now = now
        self._tokens = tokens
        self.record = Record()
        self.consequences: list[str] = []

    async def run(self) -> None:
        """All steps; raises the SessionError of the one that fails."""
        with self.record.step(Step.NAME) as found:
            places = await look_up(self._connection)
            found.note = ", ".join(dict.fromkeys(one.host for one in places))
        with self.record.step(Step.LINK) as found:
            opening = Opening(
                self._connection, tokens=self._tokens
            )  # first: where it is refused nothing is open yet
            sock = await reach(self._connection, places)
            found.note = f"connected to {sock.getpeername()[0]}, port {self._connection.port}"
        try:
            await self._meet(opening, sock)
            await self._log_in(opening)
            self._read_offer(opening)
            await self._send(opening)
        finally:
            opening.close()

    async def _meet(self, opening: Opening, sock: socket.socket) -> None:
        """Greeting and TLS, in the order that the connection's security wants."""
        if self._connection.security is Security.TLS:
            with self.record.step(Step.TLS) as found:
                await opening.connect(sock)
                self._tell_tls(found, opening)
            with self.record.step(Step.GREETING) as found:
                await opening.greet()
                _tell_greeting(found, opening)
            return
        with self.record.step(Step.GREETING) as found:
            await opening.connect(sock)
            await opening.greet()
            _tell_greeting(found, opening)
        with self.record.step(Step.TLS) as found:
            await opening.encrypt()
            self._tell_tls(found, opening)

    def _tell_tls(self, found: Note, opening: Opening) -> None:
        if (link := opening.encryption) is None:
            found.result = Result.LEFT_OUT
            found.note = found.fact = "no encryption"
            if not is_loopback(self._connection.host):
                found.warnings.append(
                    "security is none: whoever is on the way reads all mail, and may change it"
                )
            return
        found.fact = link.version() or "TLS"
        cipher, *_ = link.cipher() or ("no cipher",)
        trusted = self._connection.ca_file or "the system's CAs"
        certificate = certificate_of(opening)
        about = certificate.sentence(self._now) if certificate else "certificate"
        found.note = f"{found.fact}, {cipher}; {about}, verified with {trusted}"
        if certificate and (warning := certificate.warning(self._now)):
            found.warnings.append(warning)

    async def tell_certificate(self) -> None:
        """Say on which certificate TLS failed."""
        if certificate := await shown_certificate(self._connection):
            self.record.add(f"the server shows a {certificate.sentence(self._now)}")

    async def _log_in(self, opening: Opening) -> None:
        user = self._connection.username
        with self.record.step(Step.LOGIN) as found:
            method = await opening.log_in()
            if user is not None:
                found.note = f"as {user}, by {method}"
                found.fact = f"login as {user}"
                return
            found.result = Result.LEFT_OUT
            found.note = "the block has no user name"
            if opening.smtp.server_auth_methods:
                found.warnings.append(
                    "the server offers a login and the block has none: most such servers take mail"
                    " of their users only"
                )

    def _read_offer(self, opening: Opening) -> None:
        with self.record.step(Step.OFFER) as found:
            found.note = _offered(opening)
        offer = Offer.from_extensions(opening.smtp.esmtp_extensions)
        self.consequences += consequences(offer, self._connection)

    async def _send(self, opening: Opening) -> None:
        with self.record.step(Step.MAIL) as found:
            if self._mail is None:
                found.result = Result.LEFT_OUT
                found.note = "none sent: fill in sender and recipient to have one sent"
                await opening.quit()
                return
            attempt = await self._mail.sent(opening.session())
            found.note = f"sender and recipient taken, accepted with {reply_text(attempt)}"
            found.fact = "test mail accepted"


def _tell_greeting(found: Note, opening: Opening) -> None:
    ehlo = opening.smtp.last_ehlo_response
    name = ehlo.message.partition("\n")[0] if ehlo else ""
    found.note = (
        f"{bounded(name)} offers {_offered(opening)}; our EHLO is {opening.smtp.local_hostname}"
    )


def _offered(opening: Opening) -> str:
    return bounded(keywords(opening.smtp.esmtp_extensions, opening.smtp.server_auth_methods))
