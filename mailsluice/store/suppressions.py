"""Addresses that get no mail, whatever the campaign."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from mailsluice.core.folding import folded
from mailsluice.core.suppression import Suppression
from mailsluice.core.suppression_reason import WISHES, SuppressionReason
from mailsluice.store.database import Database
from mailsluice.store.many import as_parameter, fetch, rows_in
from mailsluice.store.schema import bounces, suppressions

_PAGE_ROWS = 50_000


class Removed(NamedTuple):
    """What became of addresses that were to be taken from the list."""

    removed: int
    kept: int
    """Their owners want no mail, so they stay."""


class Suppressions:
    """The `suppressions` table. It holds folded addresses, and takes any spelling."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, emails: Iterable[str], *, reason: str, source: str) -> int:
        """Suppress addresses for one reason; see `write`. Returns how many are new."""
        with self._database.write() as transaction:
            return self.write(transaction, [Suppression(one, reason, source) for one in emails])

    def write(self, transaction: sa.Connection, rows: Sequence[Suppression]) -> int:
        """Suppress addresses. Returns how many are new.

        One that is on the list keeps its reason, unless the new one comes before it in `Reason`: an
        unsubscribe is not forgotten because mail had bounced before. So the order of what happens
        does not matter.
        """
        if not rows:
            return 0
        strongest = {
            one.email: one
            for one in sorted(
                (one._replace(email=folded(one.email)) for one in rows),
                key=lambda one: -_RANK.get(one.reason, _WEAKEST),
            )
        }
        given = rows_in(self._database, _TYPES)
        at = sa.func.coalesce(given.c.created_at, self._database.now)
        # In one order, so that two transactions do not wait for each other.
        parameter = as_parameter(tuple(strongest[email]) for email in sorted(strongest))
        transaction.execute(
            sa.update(suppressions)
            .where(
                suppressions.c.email == given.c.email,
                _rank(given.c.reason) < _rank(suppressions.c.reason),
            )
            .values(reason=given.c.reason, source=given.c.source, created_at=at),
            parameter,
        )
        # The condition tells SQLite that ON CONFLICT is no join's.
        new = sa.select(given.c.email, given.c.reason, given.c.source, at).where(sa.true())
        statement = (
            self._database.insert_ignoring(suppressions)
            .from_select(["email", "reason", "source", "created_at"], new)
            .returning(suppressions.c.email)
        )
        return len(transaction.execute(statement, parameter).all())

    def remove(self, emails: Iterable[str], *, even_wishes: bool = False) -> Removed:
        """Take addresses from the list; soft bounces so far do not count any more.

        Whose owner unsubscribed or complained stays, unless `even_wishes`.
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
        """Find these addresses on the list, by position."""
        given = rows_in(self._database, {"position": sa.Integer(), "email": sa.Text()})
        query = sa.select(given.c.position, suppressions).join(
            suppressions, suppressions.c.email == given.c.email
        )
        query = query.params(as_parameter(enumerate(map(folded, emails))))
        with self._database.read() as connection:
            rows = fetch(connection, self._database, query)
        return {position: Suppression(*row) for position, *row in rows}

    def count(self) -> int:
        """How many addresses are on the list."""
        with self._database.read() as connection:
            return connection.execute(
                sa.select(sa.func.count()).select_from(suppressions)
            ).scalar_one()

    def totals(self) -> dict[str, int]:
        """How many addresses are on the list, by reason."""
        number = sa.func.count().label("number")
        query = sa.select(suppressions.c.reason, number).group_by(suppressions.c.reason)
        with self._database.read() as connection:
            return {row.reason: row.number for row in connection.execute(query)}

    def emails(self) -> Iterator[list[str]]:
        """All addresses of the list, some thousand at a time."""
        for page in self._pages(sa.select(suppressions.c.email)):
            yield [email for (email,) in page]

    def rows(self, reasons: Collection[SuppressionReason] = ()) -> Iterator[list[Suppression]]:
        """The list, or what is on it for these reasons, by address; some thousand at a time."""
        query: sa.Select[Any] = sa.select(suppressions)
        if reasons:
            query = query.where(suppressions.c.reason.in_([one.value for one in reasons]))
        for page in self._pages(query):
            yield [Suppression(*row) for row in page]

    def _pages(self, query: sa.Select[Any]) -> Iterator[list[Sequence[Any]]]:
        """The rows of a query whose first column is the address, a statement a page, never none."""
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
