"""Real servers and real state databases: one suite for SQLite and PostgreSQL.

The migrations make the schema once a session, in a template of either kind; tests get copies of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from mailsluice.store import Database, campaign_tables
from tests.groups import items_beside
from tests.integration.leaks import pytest_runtest_setup, pytest_runtest_teardown
from tests.integration.outbox_fixtures import campaigns, stored
from tests.integration.postgres_databases import PostgresDatabases, UsedAgain
from tests.integration.process_fixtures import forks as forks
from tests.integration.process_fixtures import impatience as impatience
from tests.integration.real_servers import RealServer, postfix_server
from tests.integration.smtp_fixtures import Certificates
from tests.integration.turns import KINDS, left_for_thorough
from tests.postgresql import postgresql
from tests.thorough import IS_THOROUGH

__all__ = ["campaigns", "pytest_runtest_setup", "pytest_runtest_teardown", "stored"]

_first_engines: dict[str, sa.Engine] = {}


@pytest.hookimpl(tryfirst=True)  # before a selection by -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to `make thorough` what it alone runs; a selection by -k has all of it."""
    left = left_for_thorough(items_beside(__file__, items))
    if IS_THOROUGH or config.option.keyword:
        for item in left:
            item.add_marker("thorough")
    else:
        config.hook.pytest_deselected(items=left)
        names = {item.nodeid for item in left}
        items[:] = [item for item in items if item.nodeid not in names]


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    """Open a database, with all statements that earlier tests have compiled for its kind.

    SQLAlchemy keeps those by engine, and a test has an engine of its own: compiling them anew takes
    a third of the time of a test that does little else.
    """
    with Database(url) as database:
        engine = database.engine
        first = _first_engines.setdefault(engine.dialect.name, engine)
        engine.dialect, engine._compiled_cache = first.dialect, first._compiled_cache
        yield database


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The certificate authority of this test session."""
    return Certificates.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def postfix(certificates: Certificates) -> Iterator[RealServer]:
    """A postfix for all tests of the group "postfix", which run in one process."""
    with postfix_server(certificates) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of this test session's PostgreSQL server."""
    with postgresql() as server:
        yield server.get_uri()


@pytest.fixture(scope="session")
def postgres_databases(postgres_server: str) -> Iterator[PostgresDatabases]:
    url = sa.make_url(postgres_server).set(drivername="postgresql+psycopg")
    server = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    yield PostgresDatabases(server)
    server.dispose()


@pytest.fixture(scope="session")
def empty_postgres(postgres_databases: PostgresDatabases) -> UsedAgain:
    """Databases without a schema."""
    return UsedAgain(postgres_databases, "template1")


@pytest.fixture(scope="session")
def migrated_postgres(postgres_databases: PostgresDatabases) -> UsedAgain:
    """Databases with the schema and without rows."""
    url = postgres_databases.make()
    Database(url).close()
    return UsedAgain(postgres_databases, str(sa.make_url(url).database))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the schema and without rows."""
    path = tmp_path_factory.mktemp("template") / "state.db"
    Database(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def new_sqlite(sqlite_template: Path) -> Callable[[Path], str]:
    """Create a migrated database at this path; returns its URL."""

    def make(path: Path) -> str:
        shutil.copy(sqlite_template, path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The kind of state database; on PostgreSQL each campaign gets tables of its own."""
    monkeypatch.setattr(campaign_tables, "FROM_RECIPIENTS", 1)
    return str(request.param)


@pytest.fixture
def empty_database_url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database without a schema, of either kind, for tests of migrations."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'outbox.db'}"
        return
    databases: UsedAgain = request.getfixturevalue("empty_postgres")
    with databases.lent() as url:
        yield url


@pytest.fixture
def database_url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a migrated database, of either kind."""
    if kind == "sqlite":
        new_sqlite: Callable[[Path], str] = request.getfixturevalue("new_sqlite")
        yield new_sqlite(tmp_path / "outbox.db")
        return
    databases: UsedAgain = request.getfixturevalue("migrated_postgres")
    with databases.lent() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open, migrated database, of either kind."""
    with _opened(database_url) as opened:
        yield opened


@pytest.fixture
def sqlite_database(tmp_path: Path, new_sqlite: Callable[[Path], str]) -> Iterator[Database]:
    """An open, migrated SQLite database, for tests that need only one kind."""
    with _opened(new_sqlite(tmp_path / "state.db")) as opened:
        yield opened
