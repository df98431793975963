"""Migrating a state database to the present schema with Alembic."""

from __future__ import annotations

import alembic.command
import alembic.config
import alembic.migration
import alembic.script
import sqlalchemy as sa

from mailsluice.core.errors import OutboxError

_LOCK = 0x6D61696C  # an arbitrary constant, for PostgreSQL's advisory lock


def upgrade(transaction: sa.Connection, *, name: str) -> None:
    """Apply the missing migrations in the given transaction.

    `name` names the database in errors. Raises OutboxError when the schema is that of a newer
    version of Mailsluice.
    """
    if transaction.dialect.name != "sqlite":  # of processes that start together, one migrates
        transaction.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    revision = alembic.migration.MigrationContext.configure(transaction).get_current_revision()
    if revision == scripts().get_current_head():
        return
    _refuse_newer(revision, name)
    if transaction.dialect.name != "sqlite":
        _act_as_owner(transaction)
    config = _config()
    config.attributes["connection"] = transaction
    alembic.command.upgrade(config, "head")


def _act_as_owner(transaction: sa.Connection) -> None:
    """Make the role that owns the tables the owner of what the migrations create, too.

    A superuser, or a member of the owner, may have logged in instead. Functions run with the rights
    of the role that created them.
    """
    query = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = to_regclass('campaigns')"
    owner = transaction.exec_driver_sql(query).scalar_one_or_none()
    if owner is not None:
        quoted = transaction.dialect.identifier_preparer.quote(owner)
        transaction.exec_driver_sql(f"SET LOCAL ROLE {quoted}")


def scripts() -> alembic.script.ScriptDirectory:
    """The migrations."""
    return alembic.script.ScriptDirectory.from_config(_config())


def _config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", "mailsluice.store:migrations")
    config.attributes["quiet"] = True
    return config


def _refuse_newer(revision: str | None, name: str) -> None:
    known = {script.revision for script in scripts().walk_revisions()}
    if revision is not None and revision not in known:
        raise OutboxError(
            f"the state database {name} has schema {revision!r}, which this version of Mailsluice"
            " does not know: install the newer version"
        )
