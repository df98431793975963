"""Moves of recipients to another connection, with their reason."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MOVED = """
SELECT r.campaign_id, r.reassigned_from, r.connection, count(*), min(o.assigned),
    max(CASE WHEN w.connection IS NULL THEN 0 ELSE 1 END)
FROM recipients r
JOIN routes o ON o.campaign_id = r.campaign_id AND o.connection = r.reassigned_from
LEFT JOIN (SELECT DISTINCT campaign_id, connection FROM warm_up_plans) w
    ON w.campaign_id = r.campaign_id AND w.connection = r.reassigned_from
WHERE r.reassigned_from IS NOT NULL
GROUP BY r.campaign_id, r.reassigned_from, r.connection
ORDER BY r.campaign_id, r.reassigned_from, r.connection
"""


def upgrade() -> None:
    moves = op.create_table(
        "moves",
        sa.Column("id", _ID, primary_key=True),
        sa.Column(
            "campaign_id",
            sa.BigInteger,
            sa.ForeignKey("campaigns.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("origin", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recipients", sa.BigInteger, nullable=False),
        sa.Column("of", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_moves_campaign_id", "moves", ["campaign_id"])
    if known := _known():
        op.bulk_insert(moves, known)


def _known() -> list[dict[str, object]]:
    """Reconstruct the moves of campaigns that were launched before this table."""
    left: dict[tuple[int, str], int] = {}
    found: list[dict[str, object]] = []
    for campaign_id, origin, target, number, assigned, warms_up in op.get_bind().execute(
        sa.text(_MOVED)
    ):
        before = left.setdefault((campaign_id, origin), assigned)
        left[campaign_id, origin] = before - number
        found.append(
            {
                "campaign_id": campaign_id,
                "origin": origin,
                "target": target,
                "reason": "warm-up" if warms_up else "down",
                "recipients": number,
                "of": before,
            }
        )
    return found
