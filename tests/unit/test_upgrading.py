"""The revision that says whether a database needs a migration."""

from __future__ import annotations

from mailsluice.store.schema import REVISION
from mailsluice.store.upgrading import scripts


def test_a_database_of_the_last_migration_is_taken_for_up_to_date() -> None:
    """Nearly every start compares only this revision, and does not load Alembic."""
    assert scripts().get_current_head() == REVISION
