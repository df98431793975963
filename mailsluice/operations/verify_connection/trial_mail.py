"""A test mail, sent in the same way as a campaign's mail."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from mailsluice.campaign import Message
from mailsluice.core.envelope import Envelope
from mailsluice.core.errors import MessageError
from mailsluice.core.forms import Document
from mailsluice.core.outcome import Attempt, Phase, Verdict, classify
from mailsluice.message import CompiledMessage, compile_message
from mailsluice.smtp.session import Session, SessionError

_MOST = 320
_TEXT = (
    "Mailsluice sent this mail to test the connection {{ connection }}, in the same way as a"
    " campaign's mail.\n\n"
    "Check the results of SPF, DKIM and DMARC in its header (Authentication-Results), and whether"
    " it arrived in the inbox or in the spam folder.\n"
)


class TrialMail(Document):
    """A mail to send. Left empty: no mail is sent, and no sender is named to the server."""

    # Every text is valid here, and `envelope` checks the addresses: Prefect logs the values of
    # parameters that are invalid.
    sender: str = Field(
        "",
        description="The sender, as in a campaign: News <news@example.com>.",
        json_schema_extra={"maxLength": _MOST},
    )
    recipient: str = Field(
        "",
        description="The recipient: your own address, best at another provider.",
        json_schema_extra={"maxLength": _MOST},
    )

    @property
    def is_wanted(self) -> bool:
        return bool(self.sender or self.recipient)

    def envelope(self, connection: str, now: datetime) -> Envelope:
        """The message, rendered like a campaign's, with a Message-ID of its own.

        Raises MessageError for invalid addresses, without repeating them.
        """
        if not self.sender or not self.recipient:
            missing = "recipient" if self.sender else "sender"
            raise MessageError(f"a test mail has a sender and a recipient: add the {missing}")
        email = _normalised(self.recipient)
        if not email:
            raise MessageError("recipient is not an e-mail address: write it as user@example.com")
        return self._compiled(connection, now).render(0, email, {"connection": connection})

    def _compiled(self, connection: str, now: datetime) -> CompiledMessage:
        try:
            message = Message(
                sender=self.sender, subject="Test of connection {{ connection }}", text=_TEXT
            )
            campaign = f"test of {connection} at {now.isoformat()}"
            return compile_message(
                message, campaign=campaign, columns=["connection"], now=lambda: now
            )
        except (ValueError, MessageError):
            raise MessageError(
                "sender is not an e-mail address: write it as Name <user@example.com>"
            ) from None  # the original error contains the address


class OneMail:
    """A feed of one envelope. Implements `mailsluice.smtp.session.Feed`."""

    def __init__(self, envelope: Envelope) -> None:
        self._waiting: Envelope | None = envelope
        self.attempt = Attempt(Phase.MAIL, None, "the mail was not sent")
        """How the attempt ended."""

    async def sent(self, session: Session) -> Attempt:
        """Send the mail, and return its acceptance. Raises SessionError where it was refused.

        An error of the session after the acceptance is ignored.
        """
        try:
            await session.send(self)
        except SessionError:
            if self._waiting is not None:
                raise
        if classify(self.attempt).verdict is not Verdict.ACCEPTED:
            raise SessionError(self.attempt)
        return self.attempt

    async def next(self) -> Envelope | None:
        return self.next_nowait()

    def next_nowait(self) -> Envelope | None:
        envelope, self._waiting = self._waiting, None
        return envelope

    def dot(self, envelope: Envelope) -> None:
        """Do nothing: a test mail has no journal."""

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:  # noqa: ARG002
        self.attempt = attempt


def _normalised(address: str) -> str:
    """The address in the form to send to; empty where it is invalid."""
    import pandas as pd  # here, since most checks send no mail

    from mailsluice.audience.address import normalise

    (email,) = normalise(pd.Series([address], dtype="str"))["email"]
    return str(email)
