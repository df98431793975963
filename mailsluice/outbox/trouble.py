"""Troubles of the state database, in words that an operator can act on. Pure."""

from __future__ import annotations

import sqlite3
from enum import Enum

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from mailsluice.errors import OutboxError
from mailsluice.masking import masked

RETRY = "Retry this run to go on"


class Trouble(Enum):
    """A kind of trouble, in words that follow the database's name."""

    LOCKED = "is held by another process"
    FULL = "has no room left"
    READ_ONLY = "can only be read"
    LOGIN = "refuses the login"
    PRIVILEGE = "does not allow this role to do it"
    DAMAGED = "is damaged, or another kind of file"
    AWAY = "does not answer"
    FAULT = "refuses a statement"


_FIRST = {
    Trouble.FULL: "Make room on its disk. ",
    Trouble.READ_ONLY: "Make its file and folder writable, or, after a failover, give the primary's"
    " address in MAILSLUICE_DATABASE_URL. ",
    Trouble.LOGIN: "Check user and password in MAILSLUICE_DATABASE_URL. ",
    Trouble.AWAY: "If it stays so, check MAILSLUICE_DATABASE_URL. ",
}
_INSTEAD = {
    Trouble.PRIVILEGE: "The schema is not this version's, and this role may not change it: run"
    " `python -m mailsluice.outbox.migrate` with MAILSLUICE_DATABASE_URL set to the owner's",
    Trouble.DAMAGED: "Restore its last backup, or give another file in MAILSLUICE_DATABASE_URL",
    Trouble.FAULT: "Trying again will not help: please report this, with the version of Mailsluice",
}
_PASSING = (Trouble.LOCKED, Trouble.FULL, Trouble.READ_ONLY, Trouble.AWAY)

# Primary result codes (sqlite.org/rescode.html).
_SQLITE = {
    sqlite3.SQLITE_BUSY: Trouble.LOCKED,
    sqlite3.SQLITE_LOCKED: Trouble.LOCKED,
    sqlite3.SQLITE_PROTOCOL: Trouble.LOCKED,
    sqlite3.SQLITE_FULL: Trouble.FULL,
    sqlite3.SQLITE_READONLY: Trouble.READ_ONLY,
    sqlite3.SQLITE_NOTADB: Trouble.DAMAGED,
    sqlite3.SQLITE_CORRUPT: Trouble.DAMAGED,
    sqlite3.SQLITE_CANTOPEN: Trouble.AWAY,
    sqlite3.SQLITE_IOERR: Trouble.AWAY,
    sqlite3.SQLITE_NOMEM: Trouble.AWAY,
    sqlite3.SQLITE_INTERRUPT: Trouble.AWAY,
}
# SQLSTATE, by code or class (PostgreSQL, appendix A).
_SQLSTATE = {
    "25006": Trouble.READ_ONLY,  # after a failover, of a standby
    "28": Trouble.LOGIN,
    "42501": Trouble.PRIVILEGE,
    "53100": Trouble.FULL,
    "55P03": Trouble.LOCKED,
    "08": Trouble.AWAY,
    "40": Trouble.AWAY,  # a deadlock, or a transaction that met another
    "53": Trouble.AWAY,
    "55": Trouble.AWAY,
    "57": Trouble.AWAY,
    "58": Trouble.AWAY,
}
# What a server says before there is a session has no SQLSTATE in libpq.
_WORDS = {
    "password authentication failed": Trouble.LOGIN,
    "no password supplied": Trouble.LOGIN,
    "no pg_hba.conf entry": Trouble.LOGIN,
}


def trouble_of(error: SQLAlchemyError) -> Trouble:
    """The kind of trouble that an error tells of."""
    cause = error.orig if isinstance(error, DBAPIError) else error.__cause__
    if isinstance(cause, sqlite3.Error):
        return _SQLITE.get(getattr(cause, "sqlite_errorcode", 1) & 0xFF, Trouble.FAULT)
    if code := getattr(cause, "sqlstate", None):
        return _SQLSTATE.get(code) or _SQLSTATE.get(code[:2], Trouble.FAULT)
    for words, trouble in _WORDS.items():
        if words in str(cause):
            return trouble
    if isinstance(error, PoolTimeoutError) or getattr(error, "connection_invalidated", False):
        return Trouble.AWAY
    is_link = isinstance(error, (OperationalError, InterfaceError))
    return Trouble.AWAY if is_link else Trouble.FAULT


def is_passing(error: SQLAlchemyError) -> bool:
    """Whether the same statement may succeed later: the server restarts, a lock, a full disk."""
    return trouble_of(error) in _PASSING


def told(
    error: SQLAlchemyError, *, name: str = "the state database", then: str = RETRY
) -> OutboxError:
    """Translate a database error; `then` says how to go on once the database works again."""
    trouble = trouble_of(error)
    cause = getattr(error, "orig", None) or error.__cause__ or error
    reason = masked(str(cause).strip().partition("\n")[0])
    step = _INSTEAD.get(trouble) or _FIRST.get(trouble, "") + then
    return OutboxError(f"{name} {trouble.value}: {reason}. {step}")
