"""A cache of who hosts the mailboxes of recipients' domains: the `mail_domains` table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import sqlalchemy as sa

from mailsluice.store.database import Database
from mailsluice.store.many import Types, as_parameter, fetch, rows_in
from mailsluice.store.schema import mail_domains

_ROWS_A_STATEMENT = 10_000
_Row = TypeVar("_Row")
_DOMAIN: Types = {"domain": sa.Text()}


class MailDomain(NamedTuple):
    """An answer of name servers about a domain."""

    domain: str
    provider: str
    accepts_mail: bool
    seconds: float
    """How long the answer may be kept."""


_TYPES: Types = {
    **_DOMAIN,
    "provider": sa.Text(),
    "accepts_mail": sa.Boolean(),
    "seconds": sa.Double(),
}


class MailDomains:
    """The `mail_domains` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, domains: Sequence[str]) -> dict[str, MailDomain]:
        """The answers about these domains that may still be used, by domain."""
        given = rows_in(self._database, _DOMAIN)
        columns = mail_domains.c
        left = columns.expires_at - self._database.now
        query = sa.select(columns.domain, columns.provider, columns.accepts_mail, left).where(
            columns.domain.in_(sa.select(given.c.domain)), left > 0
        )
        found: dict[str, MailDomain] = {}
        with self._database.read() as connection:
            for part in _parts(domains):
                asked = query.params(as_parameter((domain,) for domain in part))
                rows = fetch(connection, self._database, asked)
                found |= {row[0]: MailDomain(row[0], row[1], bool(row[2]), row[3]) for row in rows}
        return found

    def record(self, answers: Iterable[MailDomain]) -> None:
        """Keep answers, in the place of older ones about the same domains."""
        given = rows_in(self._database, _TYPES).c
        until = self._database.now + given.seconds
        rows = sa.select(given.domain, given.provider, given.accepts_mail, until).where(sa.true())
        insert = self._database.insert(mail_domains)
        names = ["domain", "provider", "accepts_mail", "expires_at"]
        statement = insert.from_select(names, rows).on_conflict_do_update(
            index_elements=["domain"], set_={name: insert.excluded[name] for name in names[1:]}
        )
        # All transactions insert in the same order, so that no two wait for each other.
        for part in _parts(sorted(answers)):
            with self._database.write() as transaction:
                transaction.execute(statement, as_parameter(map(tuple, part)))

    def forget(self, limit: int = 10_000) -> int:
        """Delete answers that may not be used any more, up to a limit. Returns how many."""
        old = sa.select(mail_domains.c.domain).where(
            mail_domains.c.expires_at <= self._database.now
        )
        with self._database.write() as transaction:
            delete = sa.delete(mail_domains).where(mail_domains.c.domain.in_(old.limit(limit)))
            return transaction.execute(delete).rowcount


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        yield rows[start : start + _ROWS_A_STATEMENT]
