"""A test mail, sent as a campaign's mail is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Self

import pandas as pd
from pydantic import ConfigDict, Field, model_validator

from mailsluice.audience.address import normalise
from mailsluice.campaign import Message, parse_mailbox
from mailsluice.envelope import Envelope
from mailsluice.errors import MessageError
from mailsluice.forms import Document
from mailsluice.message import compile_message
from mailsluice.outcome import Attempt, Phase, Verdict, classify
from mailsluice.smtp.session import Session, SessionError

_TEXT = (
    "This mail was sent by Mailsluice, to test the connection {{ connection }}.\n\n"
    "It went the way a campaign's mail goes. Look at its header for what SPF, DKIM and DMARC say"
    " (Authentication-Results), and whether it came into the inbox or among the spam.\n"
)


class TrialMail(Document):
    """A mail that is really sent. Left empty: none is, and no sender is named to the server."""

    model_config = ConfigDict(hide_input_in_errors=True)  # addresses

    sender: str = Field(
        "",
        max_length=320,
        description="Who it is from, as in a campaign: News <news@example.com>.",
    )
    recipient: str = Field(
        "", max_length=320, description="Who gets it: your own address, best at another provider."
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> Self:
        if bool(self.sender) != bool(self.recipient):
            missing = "recipient" if self.sender else "sender"
            raise ValueError(f"a test mail has a sender and a recipient: add the {missing}")
        if self.sender and self.recipient:
            if not _is_mailbox(self.sender):
                raise ValueError("sender is no mailbox: write it as Name <user@example.com>")
            if not _normalised(self.recipient):
                raise ValueError("recipient is no e-mail address: write it as user@example.com")
        return self

    @property
    def is_wanted(self) -> bool:
        return bool(self.sender)

    def envelope(self, connection: str, now: datetime) -> Envelope:
        """The message, rendered as a campaign's is; each has a Message-ID of its own.

        Raises MessageError, without the address, for a sender that no header can hold.
        """
        message = Message(
            sender=self.sender, subject="Test of connection {{ connection }}", text=_TEXT
        )
        campaign = f"test of {connection} at {now.isoformat()}"
        try:
            compiled = compile_message(
                message, campaign=campaign, columns=["connection"], now=_always(now)
            )
        except MessageError as error:
            raise MessageError(
                "no mail can be from this sender: write it as Name <user@example.com>"
            ) from error
        return compiled.render(0, _normalised(self.recipient), {"connection": connection})


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


def _is_mailbox(value: str) -> bool:
    try:
        parse_mailbox(value)
    except ValueError:
        return False
    return True


def _normalised(address: str) -> str:
    """The address as it is sent to; empty where it is none."""
    (found,) = normalise(pd.Series([address], dtype="str"))["email"]
    return str(found)


def _always(now: datetime) -> Callable[[], datetime]:
    return lambda: now
