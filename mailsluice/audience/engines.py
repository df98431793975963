"""The databases and storages that the sources of a campaign's document name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from mailsluice.audience.remote.storage import NO_STORAGES, Storages
from mailsluice.core.errors import CampaignError

Engines = Mapping[str, Engine]
"""Engines by the names in the `database` of the sources."""

Connect = Callable[[str], Engine]
"""Returns the engine of a database by its name in the document."""


class SourceAccess(NamedTuple):
    """Access to what sources name, loaded from blocks."""

    connect: Connect
    storages: Storages = NO_STORAGES


def engine_of(engines: Engines, name: str) -> Engine:
    """Return the engine of a database by its name. Raises CampaignError if there is none."""
    if name not in engines:
        given = ", ".join(engines) or "none"
        raise CampaignError(f"there is no database {name!r} (given: {given}): pass its engine")
    return engines[name]


_PACKAGES = {
    "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery",
    "redshift": "sqlalchemy-redshift",
    "databricks": "databricks-sqlalchemy",
    "trino": "trino",
    "athena": "pyathena",
    "clickhouse": "clickhouse-sqlalchemy",
    "duckdb": "duckdb-engine",
}
"""The packages that bring SQLAlchemy's dialects of warehouses."""


def opened(name: str, make_engine: Callable[[], Engine]) -> Engine:
    """Make the engine of a database block.

    Raises CampaignError, with what to install, when its dialect or driver is missing. The message
    does not contain the URL.
    """
    try:
        return make_engine()
    except NoSuchModuleError as error:
        dialect = str(error).rpartition(":")[2].partition(".")[0]
        package = _PACKAGES.get(dialect, f"the package of SQLAlchemy's dialect {dialect!r}")
        missing = f"SQLAlchemy has no dialect {dialect!r}"
    except ModuleNotFoundError as error:
        package = missing = f"the driver {error.name!r}"
        missing += " is missing"
    except ArgumentError:
        raise CampaignError(
            f"the database block {name!r} has no SQLAlchemy URL: write it as"
            " postgresql+psycopg://user:password@host/database"
        ) from None
    raise CampaignError(
        f"the database block {name!r} cannot be used, since {missing} here: install {package} where"
        " campaigns run (pip install), or correct the block's URL"
    )
