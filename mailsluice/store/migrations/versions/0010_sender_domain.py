"""The sender's domain in a column, so that matching bounces reads no stored document."""

from __future__ import annotations

import email.utils
from typing import Any

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
# Later Pythons refuse `shop@a.example <news@b.example>`, unless they are asked not to.
_LENIENT: dict[str, Any] = (
    {"strict": False} if getattr(email.utils, "supports_strict_parsing", False) else {}
)


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
        if not isinstance(sender, str):  # parseaddr may never return
            return None
        domain = email.utils.parseaddr(sender, **_LENIENT)[1].rpartition("@")[2]
        return idna.encode(domain, uts46=True).decode()
    except (IndexError, KeyError, RecursionError, TypeError, ValueError):
        return None  # nothing was sent with such a document
