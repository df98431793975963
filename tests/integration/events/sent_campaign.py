"""A campaign whose mail has been accepted, written straight into the state database."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from mailsluice.core.status import RecipientStatus
from mailsluice.message.identity import digests, message_id, new_key
from mailsluice.store import Campaigns, Database
from mailsluice.store.schema import campaigns, recipients, routes

DOMAIN = "example.org"
SENT_AT = 1_785_000_000.0


class SentCampaign:
    """A campaign that was sent over one connection, to `<name>@example.com` each."""

    def __init__(
        self,
        database: Database,
        names: Sequence[str],
        *,
        campaign: str = "spring",
        connection: str = "relay",
        sent_at: float = SENT_AT,
    ) -> None:
        self.campaign, self.key = campaign, new_key()
        self.id = Campaigns(database).register(campaign, {}).id
        with database.write() as transaction:
            transaction.execute(
                sa.update(campaigns)
                .where(campaigns.c.id == self.id)
                .values(return_key=self.key, sender_domain=DOMAIN, created_at=sent_at - 60)
            )
            transaction.execute(
                sa.insert(routes).values(
                    campaign_id=self.id, connection=connection, position=0, assigned=len(names)
                )
            )
            rows = [
                {
                    "campaign_id": self.id,
                    "email": f"{name}@example.com",
                    "connection": connection,
                    "status": RecipientStatus.SENT,
                    "variables": "{}",
                    "settled_at": sent_at,
                }
                for name in names
            ]
            transaction.execute(sa.insert(recipients), rows)
            query = sa.select(recipients.c.email, recipients.c.id).where(
                recipients.c.campaign_id == self.id
            )
            self.ids: dict[str, int] = {row.email: row.id for row in transaction.execute(query)}

    def token(self, email: str) -> str:
        """The token that the message to this address carried."""
        return f"{self.ids[email]}-{digests(self.campaign, self.key)(email)}"

    def message_id(self, email: str) -> str:
        """The Message-ID of the message to this address."""
        return message_id(self.campaign, email, DOMAIN, self.key)
