"""Addresses that get no mail, whatever the campaign."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql.dml import ReturningInsert

from mailsluice.core.folding import folded
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import WISHES, SuppressionReason
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, fetch, rows_in
from mailsluice.store.schema import bounces, suppressions

_PAGE_ROWS = 50_000


class Removed(NamedTuple):
    """The result of removing addresses from the list."""

    removed: int
    kept: int
    """Addresses that stay because their owners unsubscribed or complained."""


class Suppressions:
    """The `suppressions` table. Its methods accept addresses in any spelling."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, emails: Iterable[str], *, reason: str, source: str) -> int:
        """Suppress addresses for one reason, as `write` does. Returns how many are new."""
        with self._database.write() as transaction:
            return self.write(transaction, [Suppression(email, reason, source) for email in emails])

    def write(self, transaction: sa.Connection, rows: Sequence[Suppression]) -> int:
        """Suppress addresses. Returns how many are new.

        A listed address keeps its reason unless the new reason comes earlier in
        `SuppressionReason`: an unsubscribe replaces an earlier bounce, and a bounce never replaces
        an unsubscribe. So the order of the calls does not matter.
        """
        if not rows:
            return 0
        strongest = {
            row.email: row
            for row in sorted(
                (row._replace(email=folded(row.email)) for row in rows),
                key=lambda row: -_RANK.get(row.reason, _WEAKEST),
            )
        }
        # All transactions write in the same order, so that no two wait for each other.
        parameter = as_parameter(tuple(strongest[email]) for email in sorted(strongest))
        transaction.execute(self._database.built(_strengthen), parameter)
        return len(transaction.execute(self._database.built(_add), parameter).all())

    def remove(self, emails: Iterable[str], *, even_wishes: bool = False) -> Removed:
        """Remove addresses from the list; their soft bounces so far no longer count.

        Addresses whose owners unsubscribed or complained stay, unless `even_wishes`.
        """
        given = rows_in(self._database, {"email": sa.Text()})
        named = sa.select(given.c.email)
        parameter = as_parameter((email,) for email in sorted(map(folded, set(emails))))
        listed = suppressions.c.email.in_(named)
        is_wish = suppressions.c.reason.in_(sorted(WISHES))
        going = listed if even_wishes else sa.and_(listed, ~is_wish)
        with self._database.write() as transaction:
            removed = sa.delete(suppressions).where(going).returning(suppressions.c.email)
            gone = transaction.execute(removed, parameter).scalars().all()
            forget = sa.update(bounces).where(bounces.c.email.in_(named)).values(counts=False)
            transaction.execute(forget, as_parameter((email,) for email in gone))
            left = sa.select(sa.func.count()).select_from(suppressions).where(listed)
            return Removed(len(gone), transaction.execute(left, parameter).scalar_one())

    def find(self, emails: Sequence[str]) -> dict[int, Suppression]:
        """The entries of these addresses, by position in `emails`; unlisted ones are left out."""
        given = rows_in(self._database, {"position": sa.Integer(), "email": sa.Text()})
        query = sa.select(given.c.position, suppressions).join(
            suppressions, suppressions.c.email == given.c.email
        )
        query = query.params(as_parameter(enumerate(map(folded, emails))))
        with self._database.read() as connection:
            rows = fetch(connection, self._database, query)
        return {position: Suppression(*row) for position, *row in rows}

    def count(self) -> int:
        """Addresses on the list."""
        with self._database.read() as connection:
            return connection.execute(
                sa.select(sa.func.count()).select_from(suppressions)
            ).scalar_one()

    def totals(self) -> dict[str, int]:
        """Addresses on the list, by reason."""
        number = sa.func.count().label("number")
        query = sa.select(suppressions.c.reason, number).group_by(suppressions.c.reason)
        with self._database.read() as connection:
            return {row.reason: row.number for row in connection.execute(query)}

    def emails(self) -> Iterator[list[str]]:
        """All addresses of the list, a page of thousands at a time."""
        for page in self._pages(sa.select(suppressions.c.email)):
            yield [email for (email,) in page]

    def rows(self, reasons: Collection[SuppressionReason] = ()) -> Iterator[list[Suppression]]:
        """The entries for these reasons (all when none is given) by address, in pages."""
        query: sa.Select[Any] = sa.select(suppressions)
        if reasons:
            query = query.where(suppressions.c.reason.in_([reason.value for reason in reasons]))
        for page in self._pages(query):
            yield [Suppression(*row) for row in page]

    def _pages(self, query: sa.Select[Any]) -> Iterator[list[Sequence[Any]]]:
        """Pages of a query whose first column is the address, each read by its own statement.

        No page is empty.
        """
        query = query.order_by(suppressions.c.email).limit(_PAGE_ROWS)
        after = ""
        while page := self._read(query.where(suppressions.c.email > after)):
            yield page
            after = page[-1][0]

    def _read(self, query: sa.Select[Any]) -> list[Sequence[Any]]:
        with self._database.read() as connection:
            return fetch(connection, self._database, query)


_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    name: suppressions.c[name].type for name in Suppression._fields
}
_RANK: dict[str, int] = {reason.value: rank for rank, reason in enumerate(SuppressionReason)}
_WEAKEST = len(_RANK)


def _rank(reason: sa.ColumnElement[str]) -> sa.ColumnElement[int]:
    return sa.case(_RANK, value=reason, else_=_WEAKEST)


def _strengthen(database: Database) -> sa.Update:
    """Give listed addresses the given reason where it comes before their own."""
    given = rows_in(database, _TYPES)
    return (
        sa.update(suppressions)
        .where(
            suppressions.c.email == given.c.email,
            _rank(given.c.reason) < _rank(suppressions.c.reason),
        )
        .values(
            reason=given.c.reason,
            source=given.c.source,
            created_at=sa.func.coalesce(given.c.created_at, database.now),
        )
    )


def _add(database: Database) -> ReturningInsert[Any]:
    """List the given addresses that are not listed yet, and return them."""
    given = rows_in(database, _TYPES)
    at = sa.func.coalesce(given.c.created_at, database.now)
    # Without a condition SQLite reads ON CONFLICT as the condition of a join.
    new = sa.select(given.c.email, given.c.reason, given.c.source, at).where(sa.true())
    return (
        database.insert_ignoring(suppressions)
        .from_select(["email", "reason", "source", "created_at"], new)
        .returning(suppressions.c.email)
    )
