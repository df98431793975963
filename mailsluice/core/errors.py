"""The errors of Mailsluice. Each message says what is wrong, where, and how to fix it."""

from __future__ import annotations


class MailsluiceError(Exception):
    """The root of all errors that Mailsluice raises on purpose."""


class CampaignError(MailsluiceError):
    """The campaign cannot be run as its document says."""


class CampaignDiffersError(CampaignError):
    """A campaign of this name exists with other content."""

    def __init__(self, name: str, fields: tuple[str, ...]) -> None:
        self.fields = fields
        super().__init__(
            f"campaign {name!r} exists already with other content; what differs: "
            f"{', '.join(fields)}. Give the new campaign another name, or restore the old content "
            "to continue the old campaign"
        )


class CampaignBusyError(CampaignError):
    """Another run is sending this campaign now."""

    def __init__(self, name: str, owner: str) -> None:
        self.owner = owner
        super().__init__(
            f"campaign {name!r} is being sent by run {owner!r}; one run at a time: wait for it, or"
            " suspend it first (to cancel it would end the campaign for good)"
        )


class SenderLostError(MailsluiceError):
    """A process that shares a connection's recipients was considered dead."""

    def __init__(self, sender_id: int) -> None:
        super().__init__(
            f"sender {sender_id} gave no sign of life in time, so other processes have taken over"
            " its recipients: this process sends no more mail"
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
    """The mailbox cannot be read, or its mails cannot be moved and flagged."""


class FetchRefusedError(MailboxError):
    """The server refuses to return several mails, perhaps since it cannot read one of them."""


class EventsApiError(MailsluiceError):
    """A provider's API cannot be asked for events now, or refuses to answer."""
