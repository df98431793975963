"""State databases as earlier versions left them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import alembic.command
import sqlalchemy as sa

from mailsluice.store import Database


@contextmanager
def old_schema(url: str, revision: str) -> Iterator[sa.Connection]:
    """A transaction on a new database with the schema of this revision."""
    upgrade = alembic.command.upgrade
    with patch.object(alembic.command, "upgrade", lambda config, _: upgrade(config, revision)):
        database = Database(url)
    with database, database.write() as transaction:
        yield transaction
