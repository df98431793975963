"""The sender's domain in a column, so that matching bounces reads no stored document."""

from __future__ import annotations

from email.headerregistry import AddressHeader, HeaderRegistry
from typing import cast

import idna
import orjson
import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_CAMPAIGNS = sa.table(
    "campaigns", sa.column("id"), sa.column("content"), sa.column("sender_domain")
)
_FIELDS = HeaderRegistry()


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("sender_domain", sa.Text))
    bind = op.get_bind()
    ids = bind.execute(sa.select(_CAMPAIGNS.c.id)).scalars().all()
    for campaign_id in ids:
        is_this = _CAMPAIGNS.c.id == campaign_id
        content = bind.execute(sa.select(_CAMPAIGNS.c.content).where(is_this)).scalar_one()
        bind.execute(
            sa.update(_CAMPAIGNS).where(is_this).values(sender_domain=_sender_domain(content))
        )


def _sender_domain(content: str) -> str | None:
    """The domain as earlier versions read it, since it ends their Message-IDs."""
    try:
        sender = orjson.loads(content)["message"]["sender"]
        field = cast("AddressHeader", _FIELDS("From", sender))
        domain = field.addresses[0].domain
        return idna.encode(domain, uts46=True).decode()
    except (IndexError, KeyError, TypeError, ValueError):  # a document that nothing was sent with
        return None
