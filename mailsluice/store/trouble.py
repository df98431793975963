"""Errors of the state database, in words that an operator can act on."""

from __future__ import annotations

import sqlite3
from enum import Enum

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from mailsluice.core.errors import OutboxError
from mailsluice.core.masking import masked

DatabaseError = SQLAlchemyError
"""The root of all errors of the state database; `told` puts one into words."""
BAD_VALUE_ERRORS: tuple[type[Exception], ...] = (DataError, IntegrityError)
"""Errors caused by the values of one statement; the database itself works."""

RETRY = "Retry this run to continue"


class DatabaseTrouble(Enum):
    """A kind of error, in words that follow the database's name."""

    LOCKED = "is held by another process"
    FULL = "has no room left"
    READ_ONLY = "can only be read"
    LOGIN = "refuses the login"
    PRIVILEGE = "does not allow this role to do that"
    DAMAGED = "is damaged, or another kind of file"
    AWAY = "does not answer"
    FAULT = "refuses a statement"


_FIRST = {
    DatabaseTrouble.FULL: "Make room on its disk. ",
    DatabaseTrouble.READ_ONLY: "Make its file and folder writable or, after a failover, set"
    " MAILSLUICE_DATABASE_URL to the primary's address. ",
    DatabaseTrouble.LOGIN: "Check user and password in MAILSLUICE_DATABASE_URL. ",
    DatabaseTrouble.AWAY: "If it does not come back, check MAILSLUICE_DATABASE_URL. ",
}
_INSTEAD = {
    DatabaseTrouble.PRIVILEGE: "The schema is not that of this version, and this role may not"
    " change it: run `python -m mailsluice.store.migrate` with"
    " MAILSLUICE_DATABASE_URL set to the owner's",
    DatabaseTrouble.DAMAGED: "Restore its last backup, or set MAILSLUICE_DATABASE_URL to another"
    " file",
    DatabaseTrouble.FAULT: "Trying again will not help: please report this, with the version of"
    " Mailsluice",
}
_PASSING = (
    DatabaseTrouble.LOCKED,
    DatabaseTrouble.FULL,
    DatabaseTrouble.READ_ONLY,
    DatabaseTrouble.AWAY,
)

# Primary result codes (sqlite.org/rescode.html).
_SQLITE = {
    sqlite3.SQLITE_BUSY: DatabaseTrouble.LOCKED,
    sqlite3.SQLITE_LOCKED: DatabaseTrouble.LOCKED,
    sqlite3.SQLITE_PROTOCOL: DatabaseTrouble.LOCKED,
    sqlite3.SQLITE_FULL: DatabaseTrouble.FULL,
    sqlite3.SQLITE_READONLY: DatabaseTrouble.READ_ONLY,
    sqlite3.SQLITE_NOTADB: DatabaseTrouble.DAMAGED,
    sqlite3.SQLITE_CORRUPT: DatabaseTrouble.DAMAGED,
    sqlite3.SQLITE_CANTOPEN: DatabaseTrouble.AWAY,
    sqlite3.SQLITE_IOERR: DatabaseTrouble.AWAY,
    sqlite3.SQLITE_NOMEM: DatabaseTrouble.AWAY,
    sqlite3.SQLITE_INTERRUPT: DatabaseTrouble.AWAY,
}
# SQLSTATE, by code or class (PostgreSQL, appendix A).
_SQLSTATE = {
    "25006": DatabaseTrouble.READ_ONLY,  # a standby, after a failover
    "28": DatabaseTrouble.LOGIN,
    "42501": DatabaseTrouble.PRIVILEGE,
    "53100": DatabaseTrouble.FULL,
    "55P03": DatabaseTrouble.LOCKED,
    "08": DatabaseTrouble.AWAY,
    "40": DatabaseTrouble.AWAY,  # a deadlock or a serialization failure
    "53": DatabaseTrouble.AWAY,
    "55": DatabaseTrouble.AWAY,
    "57": DatabaseTrouble.AWAY,
    "58": DatabaseTrouble.AWAY,
}
# libpq gives no SQLSTATE for errors before the session begins.
_WORDS = {
    "password authentication failed": DatabaseTrouble.LOGIN,
    "no password supplied": DatabaseTrouble.LOGIN,
    "no pg_hba.conf entry": DatabaseTrouble.LOGIN,
}


def trouble_of(error: SQLAlchemyError) -> DatabaseTrouble:
    """The kind of trouble that an error stands for."""
    cause = error.orig if isinstance(error, DBAPIError) else error.__cause__
    if isinstance(cause, sqlite3.Error):
        return _SQLITE.get(getattr(cause, "sqlite_errorcode", 1) & 0xFF, DatabaseTrouble.FAULT)
    if code := getattr(cause, "sqlstate", None):
        return _SQLSTATE.get(code) or _SQLSTATE.get(code[:2], DatabaseTrouble.FAULT)
    for words, trouble in _WORDS.items():
        if words in str(cause):
            return trouble
    if isinstance(error, PoolTimeoutError) or getattr(error, "connection_invalidated", False):
        return DatabaseTrouble.AWAY
    is_link = isinstance(error, (OperationalError, InterfaceError))
    return DatabaseTrouble.AWAY if is_link else DatabaseTrouble.FAULT


def is_passing(error: SQLAlchemyError) -> bool:
    """Whether the same statement may succeed later: after a restart, a lock or a full disk."""
    return trouble_of(error) in _PASSING


def told(
    error: SQLAlchemyError, *, name: str = "the state database", then: str = RETRY
) -> OutboxError:
    """Put a database error into words; `then` says what to do once the database works again."""
    trouble = trouble_of(error)
    cause = getattr(error, "orig", None) or error.__cause__ or error
    reason = masked(str(cause).strip().partition("\n")[0])
    step = _INSTEAD.get(trouble) or _FIRST.get(trouble, "") + then
    return OutboxError(f"{name} {trouble.value}: {reason}. {step}")
