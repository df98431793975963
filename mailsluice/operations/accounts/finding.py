"""Finding the recipient that a provider's event, log or support is about."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mailsluice.message.recipient_token import RecipientToken
from mailsluice.operations.accounts.errors import LedgerError
from mailsluice.operations.accounts.stored import refuse_archived
from mailsluice.store import Campaigns, Database
from mailsluice.store.campaign_sources import CampaignSources
from mailsluice.store.sent_mail import SentMail

_LONGEST = 200
_OF_EVENTS = re.compile(r"\.(?:filter|recvd).*", re.DOTALL)
"""What SendGrid's events add to the id that its reply gives (`sg_message_id`)."""


@dataclass(frozen=True, slots=True)
class FoundRecipient:
    """A recipient, and by what it was found."""

    recipient_id: int
    email: str = field(repr=False)
    connection: str
    found_by: str
    """"token", or "reply id"."""
    source: str | None = None
    """The file or query that the recipient is from; None where the campaign has one source."""


def find_recipients(database: Database, name: str, given: str) -> list[FoundRecipient]:
    """Find the recipients of a campaign whose message has this recipient token or this reply id.

    The token proves itself. An id in the replies of a server need not be unique; so several
    recipients may be found. Reads the whole campaign, except for a token.

    Raises:
        OutboxError: There is no such campaign.
        LedgerError: The campaign is archived, or the text cannot be an id.
    """
    record = Campaigns(database).get(name)
    refuse_archived(database, name)
    text = _OF_EVENTS.sub("", given.strip().strip("<>"))
    if not 4 <= len(text) <= _LONGEST or text.split() != [text]:
        raise LedgerError(
            "this is no id: give one word of 4 to 200 characters, a recipient token or an id from"
            " the server's reply, as export-campaign shows it in the column reply_id"
        )
    sent_mail, found_by = SentMail(database), "reply id"
    if token := RecipientToken.parse(text):
        found_by = "token"
        found = [
            to
            for to in sent_mail.by_id([token.recipient_id])
            if to.campaign_id == record.id
            and token.is_genuine(to.campaign, to.email, to.return_key)
        ]
    else:
        found = sent_mail.by_reply_id(record.id, text)
    ids = [to.recipient_id for to in found]
    sources = CampaignSources(database).of_recipients(record.id, ids)
    return [
        FoundRecipient(
            to.recipient_id, to.email, to.connection, found_by, sources.get(to.recipient_id)
        )
        for to in found
    ]
