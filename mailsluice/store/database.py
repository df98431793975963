"""The connection to the state database, which is migrated to the present schema."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from mailsluice.core.errors import OutboxError
from mailsluice.core.masking import masked
from mailsluice.core.private import private_file, private_folder, warn_of_open
from mailsluice.store.schema import REVISION
from mailsluice.store.trouble import told

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

_Statement = TypeVar("_Statement")

_DRIVERS = {"sqlite": "pysqlite", "postgresql": "psycopg"}
_REVISIONS = sa.table("alembic_version", sa.column("version_num", sa.Text()))
_BUSY_TIMEOUT_SECONDS = 5  # the send loop repeats the transaction
_CONNECT_TIMEOUT_SECONDS = 5
_WAL_RETRY_SECONDS = 0.02
_CACHE_KIB = 16_384
_SCAN_CACHE_KIB = 4_096
"""The pages of SQLite's file that each connection keeps in memory: in general, and while it reads
whole tables, of which nobody needs the pages again."""
_STATEMENTS = 100
"""Statements that are kept; most are for the tables of one campaign."""
_POOL: dict[str, Any] = {"pool_size": 10, "hide_parameters": True}  # parameters hold addresses


def home() -> Path:
    """The folder for local state: MAILSLUICE_HOME, by default ~/.mailsluice."""
    return Path(os.environ.get("MAILSLUICE_HOME") or "~/.mailsluice").expanduser()


def default_url() -> str:
    """MAILSLUICE_DATABASE_URL, or the SQLite file `mailsluice.db` in the home folder."""
    given = os.environ.get("MAILSLUICE_DATABASE_URL")
    return given or f"sqlite:///{home() / 'mailsluice.db'}"


Transaction = sa.Connection
"""A transaction of the state database, passed from the code that begins it to the store."""


class Database:
    """An open state database in SQLite or PostgreSQL, migrated to this version's schema.

    Raises OutboxError when the database cannot be reached, is neither SQLite nor PostgreSQL, or has
    the schema of a newer version.
    """

    def __init__(self, url: str | None = None) -> None:
        self.engine = _engine(url or default_url())
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._built = lru_cache(_STATEMENTS)(lambda build, *of: build(self, *of))
        try:
            self._connect()
            self._migrate()
        except SQLAlchemyError as error:
            self.engine.dispose()
            name = f"the state database {_shown(self.engine.url)} cannot be used, it"
            raise told(error, name=name, then="Then try again") from error
        except OutboxError:  # no connection is left to a database that is refused
            self.engine.dispose()
            raise
        if self.is_sqlite:
            warn_of_open([home(), Path(str(self.engine.url.database))])
        else:
            warn_of_open([home()])

    def built(self, build: Callable[..., _Statement], *of: Hashable) -> _Statement:
        """The statement that a function builds for this database (and `of`); it is built once.

        To build a statement takes longer than to run it.
        """
        statement: _Statement = self._built(build, *of)
        return statement

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that writes; on SQLite it takes the write lock at its start."""
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Statements that only read."""
        with self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def sorting(self) -> Iterator[sa.Connection]:
        """Statements that only read, but read and sort whole tables.

        SQLite sorts them in a temporary file, and keeps few pages: the addresses of a large
        campaign, and the pages that several connections keep, would fill the memory.
        """
        with self.read() as connection:
            if not self.is_sqlite:
                yield connection
                return
            connection.exec_driver_sql("PRAGMA temp_store = FILE")
            connection.exec_driver_sql(f"PRAGMA cache_size = -{_SCAN_CACHE_KIB}")
            try:
                yield connection
            finally:
                connection.exec_driver_sql("PRAGMA temp_store = MEMORY")
                connection.exec_driver_sql(f"PRAGMA cache_size = -{_CACHE_KIB}")

    @property
    def now(self) -> sa.ColumnElement[float]:
        """The database's clock, in seconds since the epoch."""
        if self.is_sqlite:
            return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double())
        return sa.literal_column("extract(epoch from clock_timestamp())", sa.Double())

    def insert_ignoring(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An insert that skips rows whose key exists."""
        return self.insert(table).on_conflict_do_nothing()

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An insert that may say what happens to rows whose key exists."""
        if self.is_sqlite:
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # loads the dialects of all drivers

        return postgresql.insert(table)

    def free_bytes(self) -> int | None:
        """Unused bytes in a SQLite file, which SQLite uses again; None for PostgreSQL."""
        if not self.is_sqlite:
            return None
        with self.read() as connection:
            pages, page_bytes = (
                int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("freelist_count", "page_size")
            )
        return pages * page_bytes

    def moment(self) -> datetime:
        """The time of the database's clock, in UTC."""
        with self.read() as connection:
            return datetime.fromtimestamp(connection.execute(sa.select(self.now)).scalar_one(), UTC)

    def _connect(self) -> None:
        """Connect once. Raises OutboxError when the URL's options or its driver are wrong."""
        try:
            self.engine.connect().close()
        except (TypeError, ValueError, ProgrammingError) as error:
            raise _wrong_options(self.engine.url, error) from error

    def _migrate(self) -> None:
        """Bring the schema up to date; nearly every database that is opened is.

        Where it is, no lock is waited for that processes which send may hold all the time.
        """
        with self.read() as reader:
            if revision_of(reader) == REVISION:
                return
        with self.write() as transaction:
            if revision_of(transaction) == REVISION:
                return
            from mailsluice.store.upgrading import upgrade  # loads Alembic, reads all migrations

            upgrade(transaction, name=_shown(self.engine.url))


def revision_of(connection: sa.Connection) -> str | None:
    """The last migration that the database has had; None for a new one."""
    if not sa.inspect(connection).has_table(_REVISIONS.name):
        return None
    return connection.execute(sa.select(_REVISIONS.c.version_num)).scalar_one_or_none()


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
    except (
        ArgumentError,
        ValueError,
    ) as error:  # the error's text quotes the URL with its password
        raise OutboxError(
            "MAILSLUICE_DATABASE_URL is not a SQLAlchemy URL. Write it as"
            " sqlite:////folder/mailsluice.db or postgresql://user:password@host:5432/database; in"
            " user and password write %40 for @, %3A for :, %2F for /"
        ) from error
    kind, _, _ = parsed.drivername.partition("+")
    if kind not in _DRIVERS:
        raise OutboxError(
            f"the state database is kept in SQLite or PostgreSQL, not {kind}: let"
            " MAILSLUICE_DATABASE_URL begin with sqlite:// or postgresql://"
        )
    parsed = parsed.set(drivername=f"{kind}+{_DRIVERS[kind]}")
    try:
        return _sqlite(parsed) if kind == "sqlite" else _postgresql(parsed)
    except (TypeError, ValueError) as error:
        raise _wrong_options(parsed, error) from error
    except ImportError as error:
        raise OutboxError(
            f"the driver for {kind} cannot be loaded ({error}): install {_DRIVERS[kind]} where this"
            " runs"
        ) from error
    except OSError as error:
        raise OutboxError(
            f"the state database {parsed.database} cannot be created or written: {error.strerror}."
            " Set MAILSLUICE_HOME or MAILSLUICE_DATABASE_URL to a writable folder with room"
        ) from error


def _wrong_options(url: sa.URL, error: Exception) -> OutboxError:
    reason = masked(str(getattr(error, "orig", error)).partition("\n")[0])
    return OutboxError(
        f"the state database {_shown(url)} cannot be used: {reason}. Check the options at the end"
        " of MAILSLUICE_DATABASE_URL"
    )


def _shown(url: sa.URL) -> str:
    """The URL without its password, and without options, which may hold a password."""
    places = {name: value for name, value in url.query.items() if name in ("host", "port")}
    return repr(url.set(query=places).render_as_string())


def _postgresql(url: sa.URL) -> sa.Engine:
    timeout = {"connect_timeout": _CONNECT_TIMEOUT_SECONDS}
    # The store's statements see what others commit, whatever this database's default is.
    return sa.create_engine(
        url,
        pool_pre_ping=True,
        connect_args=timeout,
        isolation_level="READ COMMITTED",
        **_POOL,
    )


def _use_wal(connection: Any) -> None:
    """Switch to a write-ahead log; while another process does the same, try again.

    SQLite's busy time-out does not apply to this statement.
    """
    give_up_at = time.monotonic() + _BUSY_TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(_WAL_RETRY_SECONDS)
        else:
            return


def _sqlite(url: sa.URL) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise OutboxError("the state database must outlive the process: give SQLite a file")
    if not url.database.startswith("file:"):  # a URI of SQLite's own
        path = Path(url.database).expanduser()
        private_folder(path.parent)
        private_file(path)  # the write-ahead log gets the same mode
        url = url.set(database=str(path))
    engine = sa.create_engine(
        url,
        poolclass=QueuePool,
        pool_use_lifo=True,  # so that few connections fill their caches
        connect_args={"check_same_thread": False},
        **_POOL,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # `begin` starts transactions, not the driver
        for pragma in (
            f"busy_timeout = {_BUSY_TIMEOUT_SECONDS * 1000}",
            "synchronous = FULL",  # a claim must be on the disk before its message is sent
            "foreign_keys = ON",
            f"cache_size = -{_CACHE_KIB}",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _use_wal(connection)

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
