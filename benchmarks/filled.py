"""A PostgreSQL state database filled by the server itself: many campaigns, in no time of ours."""

from __future__ import annotations

import sqlalchemy as sa

from mailsluice.outbox import Database

CONNECTIONS = ("smtp-a", "smtp-b")
"""They take turns."""

_CAMPAIGN = sa.text(
    """
    INSERT INTO campaigns (name, status, content, created_at, ended_at, accepted, read_rows)
    VALUES (:name, :status, '{"message": {"sender": "news@example.com"}}',
            extract(epoch from now()), CASE WHEN :status = 'completed'
            THEN extract(epoch from now()) END, :rows, :rows)
    RETURNING id
    """
)
_RECIPIENTS = sa.text(
    """
    INSERT INTO recipients (campaign_id, email, connection, status, variables, attempts,
                            first_attempt_at, settled_at, code, reply)
    SELECT :campaign, 'user' || i || '@d' || i % 200 || '.example.com',
           (ARRAY['smtp-a', 'smtp-b'])[1 + i % 2], :status,
           '{"first_name":"Name' || i % 5000 || '","city":"Lisbon"}',
           CASE WHEN :sent THEN 1 ELSE 0 END,
           CASE WHEN :sent THEN extract(epoch from now()) + i * 1e-4 END,
           CASE WHEN :sent THEN extract(epoch from now()) + i * 1e-4 END,
           CASE WHEN :sent THEN 250 END,
           CASE WHEN :sent THEN '2.0.0 Ok: queued as ' || md5(i::text) END
    FROM generate_series(1, :rows) AS i
    """
)


def add_campaign(database: Database, name: str, rows: int, *, sent: bool) -> int:
    """One more campaign, sent or about to be; gives its id. One transaction."""
    with database.write() as transaction:
        status = "completed" if sent else "sending"
        found = transaction.execute(_CAMPAIGN, {"name": name, "status": status, "rows": rows})
        campaign = int(found.scalar_one())
        values = {"campaign": campaign, "rows": rows, "sent": sent}
        transaction.execute(_RECIPIENTS, {**values, "status": "sent" if sent else "pending"})
    return campaign


def maintain(database: Database, statement: str) -> None:
    """VACUUM and the like, which no transaction may hold."""
    with database.read() as connection:
        connection.exec_driver_sql(statement)
