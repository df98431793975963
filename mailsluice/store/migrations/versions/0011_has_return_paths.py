"""Whether a campaign's messages have return paths, which bounce reports must contain."""

from __future__ import annotations

import orjson
import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_CAMPAIGNS = sa.table(
    "campaigns",
    sa.column("id"),
    sa.column("content"),
    sa.column("return_key"),
    sa.column("has_return_paths"),
)


def upgrade() -> None:
    op.add_column(
        "campaigns",
        sa.Column("has_return_paths", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    bind = op.get_bind()
    with_key = sa.select(_CAMPAIGNS.c.id).where(_CAMPAIGNS.c.return_key.is_not(None))
    for campaign_id in bind.execute(with_key).scalars().all():
        is_this = _CAMPAIGNS.c.id == campaign_id
        content = bind.execute(sa.select(_CAMPAIGNS.c.content).where(is_this)).scalar_one()
        if _has_return_path(content):
            bind.execute(sa.update(_CAMPAIGNS).where(is_this).values(has_return_paths=True))


def _has_return_path(content: str) -> bool:
    try:
        return bool(orjson.loads(content)["message"]["return_path"])
    except (KeyError, TypeError, ValueError):  # older than return paths
        return False
