"""A PostgreSQL state database with many campaigns, filled by statements on the server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from mailsluice.store import Database
from mailsluice.store.campaign_tables import own_tables

CONNECTIONS = ("smtp-a", "smtp-b")
"""The connections of the campaigns, in turn."""
_WORKERS = 2

_CAMPAIGN = sa.text(
    """
    INSERT INTO campaigns (id, name, status, content, created_at, ended_at, accepted, read_rows)
    VALUES (:id, :name, :status, '{"message": {"sender": "news@example.com"}}',
            extract(epoch from now()), CASE WHEN :status = 'completed'
            THEN extract(epoch from now()) END, :rows, :rows)
    """
)
_RECIPIENTS = """
INSERT INTO {table} (id, campaign_id, email, connection, status, variables, attempts,
                        first_attempt_at, settled_at, code, reply)
SELECT CAST(:first AS bigint) + i, :id, 'user' || i || '@d' || i % 200 || '.example.com',
       (ARRAY['smtp-a', 'smtp-b'])[1 + i % 2],
       CASE WHEN i <= :sent THEN 'sent' ELSE 'pending' END,
       '{"first_name":"Name' || i % 5000 || '","city":"Lisbon"}',
       CASE WHEN i <= :sent THEN 1 ELSE 0 END,
       CASE WHEN i <= :sent THEN extract(epoch from now()) + i * 1e-4 END,
       CASE WHEN i <= :sent THEN extract(epoch from now()) + i * 1e-4 END,
       CASE WHEN i <= :sent THEN 250 END,
       CASE WHEN i <= :sent THEN '2.0.0 Ok: queued as ' || md5(i::text) END
FROM generate_series(1, :rows) AS i
"""


def add_campaign(database: Database, number: int, rows: int, sent: int, storage: str = "") -> None:
    """Insert a campaign, of whose recipients so many are sent, in one transaction.

    The campaign has tables of its own; `storage` are parameters of the one with its recipients.
    """
    status = "completed" if sent == rows else "sending"
    values = {"id": number, "name": f"campaign {number}", "status": status, "rows": rows}
    table = own_tables(number).recipients.name
    with database.write() as transaction:
        transaction.exec_driver_sql("SET LOCAL maintenance_work_mem = '1GB'")
        transaction.execute(sa.select(sa.func.mailsluice_create_tables(number)))
        transaction.execute(_CAMPAIGN, values)
        if storage:
            transaction.exec_driver_sql(f"ALTER TABLE {table} SET ({storage})")
        insert = sa.text(_RECIPIENTS.replace("{table}", table))
        transaction.execute(insert, {**values, "first": (number - 1) * rows, "sent": sent})
        transaction.execute(sa.select(sa.func.mailsluice_attach_tables(number)))


def add_campaigns(database: Database, number: int, rows: int, storage: str = "") -> None:
    """Insert campaigns of so many recipients; all are sent, except the last, which is half sent."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        each = range(1, number + 1)
        list(
            pool.map(
                lambda one: add_campaign(
                    database, one, rows, rows if one < number else rows // 2, storage
                ),
                each,
            )
        )
    with database.write() as transaction:
        for table, last in (("campaigns", number), ("recipients", number * rows)):
            transaction.exec_driver_sql(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {last})"
            )


def maintain(database: Database, statement: str) -> None:
    """Run a statement outside of a transaction, such as VACUUM."""
    with database.read() as connection:
        connection.exec_driver_sql(statement)
