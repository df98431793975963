"""Which connection each address has, over the campaigns of an affinity group.

An address is a 64-bit key of its folded form (`mailsluice.audience.keys`), never the text. Two
addresses with the same key, of which a group of ten million has a pair in one of 300,000 groups,
have the same connection; no count changes. The keys of a group are spread over pages by their first
bits. A page is one row, with ten bytes for an address: a tenth of what a row for each address would
take, and a launch merges sorted arrays instead of looking up a million rows. A page is written only
if something in it has changed.

The memory is that of launches: the connection that was planned. A move for a while, such as that of
a connection that was down, is no reason to send from another connection ever after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from mailsluice.core.affinity_counts import AffinityCounts
from mailsluice.store.content import as_json
from mailsluice.store.database import Database
from mailsluice.store.schema import affinities, affinity_groups, campaigns

if TYPE_CHECKING:
    from mailsluice.store.affinity_pages import Keys, Numbers, Page

_PAGES_AT_ONCE = 128  # three megabytes, of ten million addresses
NOT_KNOWN = -1
"""The number of the connection of an address that the group does not know."""


@dataclass(frozen=True, slots=True)
class AffinityGroup:
    """A group of campaigns; without an id, one in which no campaign was launched yet."""

    name: str
    id: int | None = None
    revision: int = 0
    """Grows whenever the memory of the group changes."""
    connections: tuple[str, ...] = ()
    """The connections that addresses have or had; their numbers are their places."""


class Affinities:
    """The tables `affinity_groups` and `affinities`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def group(self, name: str) -> AffinityGroup:
        """The group of this name, as it is now."""
        with self._database.read() as connection:
            return _group(connection, name)

    def groups(self) -> list[AffinityGroup]:
        """All groups, by name."""
        query = sa.select(affinity_groups).order_by(affinity_groups.c.name)
        with self._database.read() as connection:
            return [_as_group(row) for row in connection.execute(query)]

    def counts(self, group: AffinityGroup) -> dict[str, int]:
        """The addresses of each connection. Reads the whole group."""
        import numpy as np

        from mailsluice.store.affinity_pages import PAGES

        counts = np.zeros(len(group.connections), np.int64)
        with self._database.read() as connection:
            for _, page in _pages(connection, group, range(PAGES)):
                counts += np.bincount(page.numbers, minlength=len(counts))
        return dict(zip(group.connections, counts.tolist(), strict=True))

    def recall(self, group: AffinityGroup, keys: Keys) -> Numbers:
        """The number of the connection of each address (n,), or NOT_KNOWN."""
        import numpy as np

        from mailsluice.store.affinity_pages import ByPage

        numbers = np.full(len(keys), NOT_KNOWN, np.int16)
        if group.id is None:
            return numbers
        by_page = ByPage.of(keys)
        with self._database.read() as connection:
            for number, page in _pages(connection, group, by_page.pages):
                mine = by_page[number]
                places, is_known = page.find(keys[mine])
                numbers[mine[is_known]] = page.numbers[places[is_known]]
        return numbers

    def begin(
        self, transaction: sa.Connection, group: AffinityGroup, names: Sequence[str]
    ) -> AffinityGroup | None:
        """Begin to remember; returns the group, with these connections among its own.

        Returns None if the group has changed since it was read, for example by the launch of
        another campaign: what was recalled may not hold any more. Until the end of the transaction,
        no other one changes the group.
        """
        created = self._database.insert_ignoring(affinity_groups)
        transaction.execute(created.values(name=group.name, revision=0, connections="[]"))
        now = self._locked(transaction, group.name)
        if now.revision != group.revision:
            return None
        connections = tuple(dict.fromkeys([*now.connections, *names]))
        self._revise(transaction, now, connections=orjson.dumps(connections).decode())
        return AffinityGroup(now.name, now.id, now.revision + 1, connections)

    def remember(
        self, transaction: sa.Connection, group: AffinityGroup, keys: Keys, numbers: Numbers
    ) -> None:
        """Note the connections of addresses (n,), after `begin` has returned the group."""
        from mailsluice.store.affinity_pages import EMPTY, ByPage

        by_page = ByPage.of(keys)
        touched = by_page.pages
        for start in range(0, len(touched), _PAGES_AT_ONCE):
            part = touched[start : start + _PAGES_AT_ONCE]
            known = dict(_pages(transaction, group, part))
            changed = {}
            for number in part:
                mine, before = by_page[number], known.get(number, EMPTY)
                after = before.merged(keys[mine], numbers[mine])
                if after is not before:
                    changed[number] = after
            self._write(transaction, group, changed)

    def forget(self, group: AffinityGroup, keys: Keys | None = None) -> int:
        """Forget these addresses, or the whole group; returns how many addresses it knew."""
        from mailsluice.store.affinity_pages import PAGES, ByPage

        with self._database.write() as transaction:
            now = self._locked(transaction, group.name)
            if keys is None:
                pages = _pages(transaction, now, range(PAGES))
                forgotten = sum(len(page.keys) for _, page in pages)
                mine = affinity_groups.c.id == now.id
                transaction.execute(sa.delete(affinity_groups).where(mine))
                return forgotten
            by_page, forgotten, changed = ByPage.of(keys), 0, {}
            for number, page in _pages(transaction, now, by_page.pages):
                changed[number] = page.without(keys[by_page[number]])
                forgotten += len(page.keys) - len(changed[number].keys)
            self._write(transaction, now, changed)
            self._revise(transaction, now)
            return forgotten

    def _locked(self, transaction: sa.Connection, name: str) -> AffinityGroup:
        """The group, which no other transaction changes until the end of this one."""
        return _group(transaction, name, is_locked=not self._database.is_sqlite)

    def _revise(self, transaction: sa.Connection, group: AffinityGroup, **values: Any) -> None:
        mine = affinity_groups.c.id == group.id
        values |= {"revision": group.revision + 1, "updated_at": self._database.now}
        transaction.execute(sa.update(affinity_groups).where(mine).values(**values))

    def _write(
        self, transaction: sa.Connection, group: AffinityGroup, pages: dict[int, Page]
    ) -> None:
        rows = [
            {
                "group_id": group.id,
                "page": number,
                "address_keys": page.keys_content,
                "connections": page.numbers_content,
            }
            for number, page in pages.items()
        ]
        statement = self._database.insert(affinities)
        replaced = {name: statement.excluded[name] for name in ("address_keys", "connections")}
        key = [affinities.c.group_id, affinities.c.page]
        if rows:
            transaction.execute(
                statement.on_conflict_do_update(index_elements=key, set_=replaced), rows
            )


def record_counts(transaction: sa.Connection, campaign_id: int, counts: AffinityCounts) -> None:
    """Record what affinity does for the recipients of a campaign that is being launched.

    The launch may have been interrupted after it had been remembered. When it is repeated for the
    same recipients, they all keep the connection that it gave them: the counts of the first time
    stay.
    """
    mine = campaigns.c.id == campaign_id
    before = transaction.execute(sa.select(campaigns.c.affinity).where(mine)).scalar_one()
    is_repeated = before and AffinityCounts(**orjson.loads(before)).total == counts.kept
    if not is_repeated or counts.kept != counts.total:
        values = {"affinity": as_json(asdict(counts))}
        transaction.execute(sa.update(campaigns).where(mine).values(**values))


def _group(connection: sa.Connection, name: str, *, is_locked: bool = False) -> AffinityGroup:
    query = sa.select(affinity_groups).where(affinity_groups.c.name == name)
    row = connection.execute(query.with_for_update() if is_locked else query).one_or_none()
    return AffinityGroup(name) if row is None else _as_group(row)


def _as_group(row: sa.Row[Any]) -> AffinityGroup:
    return AffinityGroup(row.name, row.id, row.revision, tuple(orjson.loads(row.connections)))


def _pages(
    connection: sa.Connection, group: AffinityGroup, numbers: Sequence[int]
) -> Iterator[tuple[int, Page]]:
    """Read those of a group's pages with these numbers, a few at a time."""
    from mailsluice.store.affinity_pages import Page

    columns = affinities.c
    for start in range(0, len(numbers), _PAGES_AT_ONCE):
        part = list(numbers[start : start + _PAGES_AT_ONCE])
        query = sa.select(columns.page, columns.address_keys, columns.connections).where(
            columns.group_id == group.id, columns.page.in_(part)
        )
        for row in connection.execute(query).all():
            yield row.page, Page.read(row.address_keys, row.connections)
