"""Campaigns as stored: identity, audience, the lease of the run that sends."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from mailsluice.core.errors import (
    CampaignBusyError,
    CampaignDiffersError,
    CampaignError,
    OutboxError,
)
from mailsluice.core.folding import fold
from mailsluice.core.moves import Move, shares_after
from mailsluice.core.names import LONGEST, campaign_name, likeness, seen
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.message.identity import ascii_domain, new_key
from mailsluice.store import bulk
from mailsluice.store.database import Database
from mailsluice.store.moves import read_moves, record_moves
from mailsluice.store.schema import campaigns, moves, recipients, rejects, routes

LEASE_SECONDS = 45.0
"""A run that has not renewed its lease for so long is dead; it renews three times as often."""

AGREE_SECONDS = 5.0
"""Where the database's clock and this machine's differ by more, leases are not judged by them."""


@dataclass(frozen=True, slots=True)
class CampaignRecord:
    """One row of `campaigns`."""

    id: int
    name: str
    status: CampaignStatus
    owner: str | None
    journal: str | None
    read_rows: int
    accepted: int
    duplicates: int
    suppressed: int
    excluded: int
    invalid: int
    held_back: Mapping[str, int]
    """How many of the suppressed ones for which reason."""
    assignment_digest: str | None
    return_key: str | None = field(repr=False)
    """The secret that makes its return paths and Message-IDs, see `mailsluice.message.identity`;
    None: it is older than they are."""
    sender_domain: str | None
    """In ASCII: what its Message-IDs end with."""

    @property
    def rejected(self) -> dict[str, int]:
        """Rows that are not in the audience, by reason."""
        return {
            "duplicate": self.duplicates,
            "excluded": self.excluded,
            "suppressed": self.suppressed,
            "invalid": self.invalid,
        }


_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that no database holds in a text."""
_PENDING = RecipientStatus.PENDING.value
_COLUMNS = [campaigns.c[name] for name in CampaignRecord.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class RouteRecord:
    """One row of `routes`: what a connection was assigned."""

    connection: str
    percent: str | None
    """Its exact share on the day of the launch; None: all those with None have the same."""
    assigned: int


def launched_shares(records: Sequence[RouteRecord]) -> dict[str, Decimal]:
    """The shares that a campaign was launched with, as fractions; together 1 (within 28 digits)."""
    equal = sum(one.percent is None for one in records)
    return {
        one.connection: Decimal(1) / equal if one.percent is None else Decimal(one.percent) / 100
        for one in records
    }


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The lease of a campaign, as it is seen. Moments by the database's clock."""

    owner: str | None
    until: float
    now: float


class Campaigns:
    """The `campaigns` table and what belongs to a campaign as a whole."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def register(self, name: str, content: Mapping[str, Any]) -> CampaignRecord:
        """The campaign of this name, made where there is none.

        Raises CampaignDiffersError where it exists with other content, CampaignError for a name
        that cannot be one, or that people would take for that of another campaign.
        """
        with self._database.write() as connection:
            found = _stored(connection, name, campaigns.c.content)
            if found is None:
                _refuse_alike(connection, name)
                found = self._insert(connection, name, content)
        differing = _differences(orjson.loads(found.content), orjson.loads(_json(content)))
        if differing:
            raise CampaignDiffersError(name, differing)
        return _record(found)

    def _insert(
        self, connection: sa.Connection, name: str, content: Mapping[str, Any]
    ) -> sa.Row[Any]:
        statement = sa.insert(campaigns).values(
            name=name,
            status=CampaignStatus.RESOLVING,
            content=_json(content),
            created_at=self._database.now,
            return_key=new_key(),
            sender_domain=_sender_domain(content),
            has_return_paths=_has_return_paths(content),
        )
        return connection.execute(statement.returning(*_COLUMNS, campaigns.c.content)).one()

    def find(self, name: str) -> CampaignRecord | None:
        """The campaign of this name, if there is one; `record.name` is as it was stored.

        Raises CampaignError for a name that cannot be one.
        """
        with self._database.read() as connection:
            found = _stored(connection, name)
        return None if found is None else _record(found)

    def all(self) -> list[CampaignRecord]:
        """Every campaign, the latest first."""
        query = sa.select(*_COLUMNS).order_by(campaigns.c.id.desc())
        with self._database.read() as connection:
            return [_record(row) for row in connection.execute(query)]

    def refuse_alike(self, name: str) -> None:
        """Raise CampaignError where a new campaign of this name could be taken for another one."""
        with self._database.read() as connection:
            _refuse_alike(connection, name)

    def get(self, name: str) -> CampaignRecord:
        """The campaign of this name. Raises OutboxError where there is none."""
        found = self.find(name)
        if found is None:
            raise OutboxError(f"there is no campaign {name!r} in this database: check its name")
        return found

    def acquire(
        self,
        campaign_id: int,
        owner: str,
        *,
        dead_owner: str | None = None,
        when_run_out: bool = True,
    ) -> None:
        """Make this run the campaign's only one, for LEASE_SECONDS.

        `dead_owner` names an owner that is known to be gone, whatever its lease says;
        `when_run_out` is whether a lease is free that has run out by the database's clock. Raises
        CampaignBusyError where another run holds the lease.
        """
        now = self._database.now
        free = sa.or_(
            campaigns.c.owner.is_(None),
            campaigns.c.owner.in_([owner, *([dead_owner] if dead_owner else [])]),
            sa.and_(sa.literal(when_run_out), campaigns.c.lease_until < now),
        )
        with self._database.write() as connection:
            taken = connection.execute(
                sa.update(campaigns)
                .where(campaigns.c.id == campaign_id, free)
                .values(owner=owner, lease_until=now + LEASE_SECONDS)
            )
            if taken.rowcount:
                return
            holder = connection.execute(
                sa.select(campaigns.c.name, campaigns.c.owner).where(campaigns.c.id == campaign_id)
            ).one()
        raise CampaignBusyError(holder.name, holder.owner)

    def set_journal(self, campaign_id: int, journal: str) -> None:
        """Record which journal knows about the claims made from here on."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(campaigns).where(campaigns.c.id == campaign_id).values(journal=journal)
            )

    def renew(self, campaign_id: int, owner: str) -> None:
        """Keep the lease. Raises CampaignBusyError where another run has taken it over."""
        with self._database.write() as connection:
            if not self._extend(connection, campaign_id, owner):
                row = connection.execute(
                    sa.select(campaigns.c.name, campaigns.c.owner).where(
                        campaigns.c.id == campaign_id
                    )
                ).one()
                raise CampaignBusyError(row.name, row.owner or "nobody")

    def keep(self, transaction: sa.Connection, campaign_id: int, owner: str) -> bool:
        """Whether the lease is this run's, in this transaction: nobody can take it over until its
        end.
        """
        if not self._database.is_sqlite:
            return self._extend(transaction, campaign_id, owner)
        # A transaction that writes keeps all others out. And the row, the message's text in it,
        # would be written as a whole.
        query = sa.select(campaigns.c.owner).where(campaigns.c.id == campaign_id)
        return bool(transaction.execute(query).scalar_one_or_none() == owner)

    def _extend(self, transaction: sa.Connection, campaign_id: int, owner: str) -> bool:
        kept = transaction.execute(
            sa.update(campaigns)
            .where(campaigns.c.id == campaign_id, campaigns.c.owner == owner)
            .values(lease_until=self._database.now + LEASE_SECONDS)
        )
        return bool(kept.rowcount)

    def lease(self, campaign_id: int) -> LeaseRecord:
        """Read the lease: its owner, and until when."""
        query = sa.select(
            campaigns.c.owner,
            sa.func.coalesce(campaigns.c.lease_until, 0.0),
            self._database.now,
        )
        with self._database.read() as connection:
            return LeaseRecord(
                *connection.execute(query.where(campaigns.c.id == campaign_id)).one()
            )

    def release(self, campaign_id: int, owner: str) -> None:
        """Give the lease back."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(campaigns)
                .where(campaigns.c.id == campaign_id, campaigns.c.owner == owner)
                .values(owner=None, lease_until=None)
            )

    def store_audience(
        self,
        campaign_id: int,
        chunks: Iterable[pd.DataFrame],
        rejected: Iterable[pd.DataFrame],
    ) -> None:
        """Write the recipients in send order and the rejects, replacing what a dead run left.

        `chunks` have the columns email, connection, variables, and status, next_attempt_at,
        reassigned_from where not everybody is pending where he was assigned; `rejected` have row,
        email, reason, detail. A chunk is a transaction: other campaigns go on meanwhile. Nothing is
        sent before `resolved`.
        """
        self._clear(campaign_id)
        for chunk in chunks:
            with self._database.write() as connection:
                same = {} if "status" in chunk else {"status": _PENDING}
                rows = _with_folded(chunk)
                bulk.insert(connection, recipients, rows, campaign_id=campaign_id, **same)
        for chunk in rejected:
            with self._database.write() as connection:
                bulk.insert(connection, rejects, chunk, campaign_id=campaign_id)

    def _clear(self, campaign_id: int) -> None:
        with self._database.write() as connection:
            for table in (recipients, rejects, routes, moves):
                connection.execute(sa.delete(table).where(table.c.campaign_id == campaign_id))

    def resolved(
        self,
        campaign_id: int,
        *,
        read_rows: int,
        accepted: int,
        rejected: Mapping[str, int],
        assigned: Sequence[RouteRecord],
        digest: str,
        held_back: Mapping[str, int] | None = None,
        moved: Sequence[Move] = (),
    ) -> None:
        """The audience is stored as a whole: from here on the campaign can be sent.

        `rejected` counts by reason: duplicate, suppressed, excluded, invalid; `held_back` those
        suppressed by why they are; `moved` are those that `assigned` counts elsewhere than they are
        stored. Raises OutboxError where the numbers do not add up.
        """
        if read_rows != accepted + sum(rejected.values()):
            raise OutboxError(
                f"{read_rows} rows were read, but {accepted} accepted and {dict(rejected)} "
                "rejected: rows are missing, so nothing is sent. Please report this"
            )
        reasons = Counter(rejected)
        with self._database.write() as connection:
            stored = connection.execute(
                sa.select(sa.func.count()).where(recipients.c.campaign_id == campaign_id)
            ).scalar_one()
            if stored != accepted:
                raise OutboxError(f"{accepted} recipients were accepted, but {stored} are stored")
            for position, route in enumerate(assigned):
                connection.execute(
                    sa.insert(routes).values(
                        campaign_id=campaign_id,
                        connection=route.connection,
                        position=position,
                        percent=route.percent,
                        assigned=route.assigned,
                    )
                )
            record_moves(connection, campaign_id, moved)
            connection.execute(
                sa.update(campaigns)
                .where(campaigns.c.id == campaign_id)
                .values(
                    status=CampaignStatus.READY,
                    read_rows=read_rows,
                    accepted=accepted,
                    duplicates=reasons["duplicate"],
                    suppressed=reasons["suppressed"],
                    excluded=reasons["excluded"],
                    invalid=reasons["invalid"],
                    held_back=_json(held_back or {}),
                    assignment_digest=digest,
                )
            )

    def routes(self, campaign_id: int) -> list[RouteRecord]:
        """What each connection was assigned, in the campaign's order."""
        with self._database.read() as connection:
            rows = connection.execute(
                sa.select(routes.c.connection, routes.c.percent, routes.c.assigned)
                .where(routes.c.campaign_id == campaign_id)
                .order_by(routes.c.position)
            )
            return [RouteRecord(*row) for row in rows]

    def moves(self, campaign_id: int) -> list[Move]:
        """Which recipients changed their connection, in the order in which they did."""
        with self._database.read() as connection:
            return read_moves(connection, campaign_id)

    def shares(self, campaign_id: int) -> dict[str, Decimal]:
        """Shares of the campaign's limits: as launched, moved along with recipients that moved."""
        return shares_after(launched_shares(self.routes(campaign_id)), self.moves(campaign_id))

    def set_status(self, campaign_id: int, status: CampaignStatus) -> None:
        """Record where the campaign stands; an ended one gets its end time."""
        ended = status in (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED)
        with self._database.write() as connection:
            connection.execute(
                sa.update(campaigns)
                .where(campaigns.c.id == campaign_id)
                .values(status=status, ended_at=self._database.now if ended else None)
            )


def _with_folded(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows and, where an address is not as it is compared, the column for that.

    Most audiences are in lower case, and need none.
    """
    emails = pa.array(rows["email"], pa.large_string())
    as_compared = fold(emails)
    differs = pc.not_equal(as_compared, emails)
    if not pc.any(differs).as_py():
        return rows
    return rows.assign(folded=pc.if_else(differs, as_compared, None).to_pandas().to_numpy(object))


def _stored(connection: sa.Connection, name: str, *more: sa.Column[Any]) -> sa.Row[Any] | None:
    """The row of a campaign by its name, as it is spelt or as names are spelt now.

    Campaigns of earlier versions may have names that are spelt otherwise: with characters that
    nobody sees, or not composed. Of several that look the same the last one is meant.
    """
    query: sa.Select[Any] = sa.select(*_COLUMNS, *more)
    if not _NO_TEXT.search(name):
        exact = connection.execute(query.where(campaigns.c.name == name)).one_or_none()
        if exact is not None:
            return exact
    try:
        wanted = campaign_name(name)
    except ValueError as error:
        raise CampaignError(f"there is no campaign {name[:LONGEST]!r}: {error}") from None
    names = connection.execute(sa.select(campaigns.c.id, campaigns.c.name).order_by(campaigns.c.id))
    same = [row.id for row in names if seen(row.name) == wanted]
    return connection.execute(query.where(campaigns.c.id == same[-1])).one() if same else None


def _sender_domain(content: Mapping[str, Any]) -> str | None:
    sender = content.get("message", {}).get("sender")
    return ascii_domain(sender) if sender else None


def _has_return_paths(content: Mapping[str, Any]) -> bool:
    return bool(content.get("message", {}).get("return_path"))


def _refuse_alike(connection: sa.Connection, name: str) -> None:
    wanted = likeness(name)
    for known in connection.execute(sa.select(campaigns.c.name)).scalars():
        if likeness(known) == wanted:
            raise CampaignError(
                f"campaign {name!r} could be taken for campaign {known!r}, and everybody would get"
                f" the mail twice: write {known!r} to go on with that one, or give the new one a"
                " name that differs in more than case and style of letters"
            )


def _record(row: sa.Row[Any]) -> CampaignRecord:
    values = {name: getattr(row, name) for name in CampaignRecord.__dataclass_fields__}
    values["held_back"] = orjson.loads(row.held_back or "{}")
    return CampaignRecord(**{**values, "status": CampaignStatus(row.status)})


def _json(content: Mapping[str, Any]) -> str:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()


def _differences(old: Any, new: Any, path: str = "") -> tuple[str, ...]:
    """The paths at which two JSON values differ, for example `message.html`."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        found = (
            _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
            for key in keys
        )
        return tuple(one for group in found for one in group)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return tuple(one for i, (a, b) in pairs for one in _differences(a, b, f"{path}[{i}]"))
    return () if old == new else (path,)
