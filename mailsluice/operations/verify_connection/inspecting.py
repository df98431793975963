"""The steps of a connection check, one after the other, until one fails."""

from __future__ import annotations

import socket
from contextlib import suppress
from datetime import datetime

from mailsluice.oauth.tokens import Tokens
from mailsluice.operations.verify_connection.diagnosis import ABOUT_CERTIFICATES
from mailsluice.operations.verify_connection.finding import ConnectionCheck, Result, Step
from mailsluice.operations.verify_connection.offered import consequences, keywords
from mailsluice.operations.verify_connection.record import Note, Record
from mailsluice.operations.verify_connection.sender_domain import check_sender
from mailsluice.operations.verify_connection.shown import certificate_of, shown_certificate
from mailsluice.operations.verify_connection.trial_mail import OneMail, TrialMail
from mailsluice.smtp.commands import Offer
from mailsluice.smtp.connection import Connection, Security
from mailsluice.smtp.login import Opening
from mailsluice.smtp.reaching import is_loopback, look_up, reach
from mailsluice.smtp.replies import bounded
from mailsluice.smtp.session import SessionError, reply_text


async def inspect(
    connection: Connection, trial: TrialMail, now: datetime, tokens: Tokens | None = None
) -> ConnectionCheck:
    """Open a session step by step, and return the result of each step.

    Args:
        connection: The connection to check.
        trial: The mail to send, if one is wanted; without it not even MAIL is sent.
        now: An aware time, for certificates and for the mail's Date.
        tokens: The access tokens for a login with OAuth.

    Raises:
        MessageError: The mail cannot be made; every other failure is in the result.
    """
    mail = OneMail(trial.envelope(connection.name, now)) if trial.is_wanted else None
    inspector = _Inspector(connection, mail, now, tokens)
    with suppress(SessionError):  # recorded as the step's result
        await inspector.run()
    if inspector.record.diagnosis in ABOUT_CERTIFICATES:
        await inspector.add_certificate()
    return ConnectionCheck(
        connection.name,
        f"{connection.host}:{connection.port}, security {connection.security}",
        inspector.record.complete(),
        inspector.consequences,
        inspector.record.diagnosis,
        domain=await check_sender(connection, trial),
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
        """Do all steps; raises the SessionError of the step that fails."""
        with self.record.step(Step.NAME) as note:
            places = await look_up(self._connection)
            note.text = ", ".join(dict.fromkeys(place.host for place in places))
        with self.record.step(Step.LINK) as note:
            # First, since it may refuse ca_file; the socket would stay open.
            opening = Opening(self._connection, tokens=self._tokens)
            sock = await reach(self._connection, places)
            note.text = f"connected to {sock.getpeername()[0]}, port {self._connection.port}"
        try:
            await self._greet(opening, sock)
            await self._log_in(opening)
            self._read_offer(opening)
            await self._send(opening)
        finally:
            opening.close()

    async def _greet(self, opening: Opening, sock: socket.socket) -> None:
        """Do the greeting and TLS, in the order of the connection's security."""
        if self._connection.security is Security.TLS:
            with self.record.step(Step.TLS) as note:
                await opening.connect(sock)
                self._describe_tls(note, opening)
            with self.record.step(Step.GREETING) as note:
                await opening.greet()
                _describe_greeting(note, opening)
            return
        with self.record.step(Step.GREETING) as note:
            await opening.connect(sock)
            await opening.greet()
            _describe_greeting(note, opening)
        with self.record.step(Step.TLS) as note:
            await opening.encrypt()
            self._describe_tls(note, opening)

    def _describe_tls(self, note: Note, opening: Opening) -> None:
        if (link := opening.encryption) is None:
            note.result = Result.LEFT_OUT
            note.text = note.fact = "no encryption"
            if not is_loopback(self._connection.host):
                note.warnings.append(
                    "security is none: anyone between here and the server can read and change mail"
                )
            return
        note.fact = link.version() or "TLS"
        cipher, *_ = link.cipher() or ("no cipher",)
        trusted = self._connection.ca_file or "the system's CAs"
        certificate = certificate_of(opening)
        about = certificate.sentence(self._now) if certificate else "certificate"
        note.text = f"{note.fact}, {cipher}; {about}, verified with {trusted}"
        if certificate and (warning := certificate.warning(self._now)):
            note.warnings.append(warning)

    async def add_certificate(self) -> None:
        """Add the certificate on which TLS failed to the failed step."""
        if certificate := await shown_certificate(self._connection):
            self.record.add(f"the server shows a {certificate.sentence(self._now)}")

    async def _log_in(self, opening: Opening) -> None:
        user = self._connection.username
        with self.record.step(Step.LOGIN) as note:
            method = await opening.log_in()
            if user is not None:
                note.text = f"as {user}, by {method}"
                note.fact = f"login as {user}"
                return
            note.result = Result.LEFT_OUT
            note.text = "the block has no user name"
            if opening.smtp.server_auth_methods:
                note.warnings.append(
                    "the server offers a login and the block has none: most such servers take mail"
                    " from logged-in users only"
                )

    def _read_offer(self, opening: Opening) -> None:
        with self.record.step(Step.OFFER) as note:
            note.text = _offered(opening)
        offer = Offer.from_extensions(opening.smtp.esmtp_extensions)
        self.consequences += consequences(offer, self._connection)

    async def _send(self, opening: Opening) -> None:
        with self.record.step(Step.MAIL) as note:
            if self._mail is None:
                note.result = Result.LEFT_OUT
                note.text = "none sent: fill in sender and recipient to send one"
                await opening.quit()
                return
            attempt = await self._mail.sent(opening.session())
            note.text = f"sender and recipient taken, accepted with {reply_text(attempt)}"
            note.fact = "test mail accepted"


def _describe_greeting(note: Note, opening: Opening) -> None:
    ehlo = opening.smtp.last_ehlo_response
    name = ehlo.message.partition("\n")[0] if ehlo else ""
    note.text = (
        f"{bounded(name)} offers {_offered(opening)}; our EHLO is {opening.smtp.local_hostname}"
    )


def _offered(opening: Opening) -> str:
    return bounded(keywords(opening.smtp.esmtp_extensions, opening.smtp.server_auth_methods))
