"""Errors. Each message says what is wrong, where, and what to do."""

from __future__ import annotations


class MailsluiceError(Exception):
    """The root: whatever Mailsluice raises on purpose is one of these."""


class CampaignError(MailsluiceError):
    """The campaign document cannot be run as it is."""


class CampaignDiffersError(CampaignError):
    """A campaign of this name exists with other content."""

    def __init__(self, name: str, fields: tuple[str, ...]) -> None:
        self.fields = fields
        super().__init__(
            f"campaign {name!r} exists already with other content; what differs: "
            f"{', '.join(fields)}. Give the new campaign another name, or restore the old content "
            "to go on with the old one"
        )


class CampaignBusyError(CampaignError):
    """Another run is sending this campaign now."""

    def __init__(self, name: str, owner: str) -> None:
        self.owner = owner
        super().__init__(
            f"campaign {name!r} is being sent by run {owner!r}; one run at a time: "
            "wait for it, or cancel it first"
        )


class SenderLostError(MailsluiceError):
    """A process that shares a connection's recipients was taken for dead."""

    def __init__(self, sender_id: int) -> None:
        super().__init__(
            f"sender {sender_id} gave no sign of life in time, so others have taken over what it"
            " had claimed: this process sends nothing more"
        )


class AudienceError(MailsluiceError):
    """The recipients cannot be read."""


class MessageError(MailsluiceError):
    """The message cannot be built for this audience."""


class OutboxError(MailsluiceError):
    """The state database cannot be used."""


class JournalError(MailsluiceError):
    """The local journal cannot be used."""


class MailboxError(MailsluiceError):
    """The mailbox cannot be read, or not be kept in order."""


class FetchRefusedError(MailboxError):
    """The server refuses to give mails out, one of which it may be unable to read."""
