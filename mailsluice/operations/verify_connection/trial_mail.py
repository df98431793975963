"""A test mail, sent as a campaign's mail is."""

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
    "This mail was sent by Mailsluice, to test the connection {{ connection }}.\n\n"
    "It went the way a campaign's mail goes. Look at its header for what SPF, DKIM and DMARC say"
    " (Authentication-Results), and whether it came into the inbox or among the spam.\n"
)


class TrialMail(Document):
    """A mail that is really sent. Left empty: none is, and no sender is named to the server."""

    # Any text will do here and is checked by `envelope`: Prefect logs parameters that are refused,
    # and these are addresses.
    sender: str = Field(
        "",
        description="Who it is from, as in a campaign: News <news@example.com>.",
        json_schema_extra={"maxLength": _MOST},
    )
    recipient: str = Field(
        "",
        description="Who gets it: your own address, best at another provider.",
        json_schema_extra={"maxLength": _MOST},
    )

    @property
    def is_wanted(self) -> bool:
        return bool(self.sender or self.recipient)

    def envelope(self, connection: str, now: datetime) -> Envelope:
        """The message, rendered as a campaign's is; each has a Message-ID of its own.

        Raises MessageError, which does not repeat them, for addresses that are none.
        """
        if not self.sender or not self.recipient:
            missing = "recipient" if self.sender else "sender"
            raise MessageError(f"a test mail has a sender and a recipient: add the {missing}")
        email = _normalised(self.recipient)
        if not email:
            raise MessageError("recipient is no e-mail address: write it as user@example.com")
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
            ) from None  # what it was raised from has the address


class OneMail:
    """A feed of one envelope. Implements `mailsluice.smtp.session.Feed`."""

    def __init__(self, envelope: Envelope) -> None:
        self._waiting: Envelope | None = envelope
        self.attempt = Attempt(Phase.MAIL, None, "the mail was not sent")
        """How it ended."""

    async def sent(self, session: Session) -> Attempt:
        """Send it; gives how it was accepted. Raises SessionError where it was not.

        What happens to the session after that does not matter.
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
        """Nobody keeps a journal of it."""

    def settled(self, envelope: Envelope, attempt: Attempt) -> None:  # noqa: ARG002
        self.attempt = attempt


def _normalised(address: str) -> str:
    """The address as it is sent to; empty where it is none."""
    import pandas as pd  # most checks send no mail

    from mailsluice.audience.address import normalise

    (found,) = normalise(pd.Series([address], dtype="str"))["email"]
    return str(found)
