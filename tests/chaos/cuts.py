"""Cut the processes of a chaos run off from their database."""

from __future__ import annotations

import sqlite3
import time

import psycopg
import sqlalchemy as sa

_SECONDS = 1.0
_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


def cut(database_url: str) -> None:
    """Break all links to PostgreSQL, whatever they do; or hold SQLite's lock for a second."""
    url = sa.make_url(database_url)
    if url.get_backend_name() == "postgresql":
        with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
            connection.execute(_OTHERS)
        return
    holder = sqlite3.connect(url.database or "", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        time.sleep(_SECONDS)
    except sqlite3.OperationalError:  # others hold it
        pass
    finally:
        holder.close()
