"""The memory of a large SQLite database: each connection keeps pages, so few connections do."""

from __future__ import annotations

from mailsluice.store import Database


def cache_kib(database: Database, *, whole_tables: bool) -> int:
    """The pages that a connection keeps for such a statement."""
    with database.sorting() if whole_tables else database.read() as connection:
        return -int(connection.exec_driver_sql("PRAGMA cache_size").scalar_one())


def test_statements_that_read_whole_tables_keep_few_pages(sqlite_database: Database) -> None:
    """Nobody needs these pages again, and such a statement fills whatever it may keep."""
    usual = cache_kib(sqlite_database, whole_tables=False)
    assert cache_kib(sqlite_database, whole_tables=True) <= usual / 4
    assert cache_kib(sqlite_database, whole_tables=False) == usual


def test_the_connection_that_was_used_last_is_used_next(sqlite_database: Database) -> None:
    """After a moment with many statements at once, one connection is enough for those that follow.

    With any other order, each of the connections would fill its memory in turn.
    """
    engine = sqlite_database.engine
    together = [engine.connect() for _ in range(4)]
    for connection in together:
        connection.close()
    used = set()
    for _ in range(8):
        with sqlite_database.read() as connection:
            used.add(id(connection.connection.driver_connection))
    assert len(used) == 1
