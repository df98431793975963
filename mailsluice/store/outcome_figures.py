"""What became of a campaign's mail, by mailbox provider and connection, for its stop-loss."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import sqlalchemy as sa

from mailsluice.bounces import BounceKind
from mailsluice.bounces.refusal import is_block
from mailsluice.core.outcome import Attempt, Phase, Verdict
from mailsluice.core.status import RecipientStatus
from mailsluice.events.event import FailureKind
from mailsluice.stop_loss import UNKNOWN, Figures, Unit
from mailsluice.store.campaign_tables import CampaignTablesFinder
from mailsluice.store.database import Database
from mailsluice.store.schema import bounces, deliveries

_FieldCounts = defaultdict[Unit, dict[str, int]]


class OutcomeFigures:
    """Counts of one campaign's recipients, in scans of all of them."""

    def __init__(self, database: Database, campaign_id: int) -> None:
        self._database = database
        self._campaign_id = campaign_id
        self._finder = CampaignTablesFinder(database, campaign_id)

    def settled(
        self, connection: str | None = None, last_id: int | None = None
    ) -> dict[Unit, Figures]:
        """What the servers' replies say so far; of one connection, up to a recipient, or of all."""
        counts: _FieldCounts = defaultdict(dict)
        chosen = self._chosen(connection, last_id)
        with self._database.sorting() as reader:
            for *unit, number in reader.execute(self._sent(chosen)):
                counts[_unit(*unit)]["sent"] = number
            for *unit, verdict, phase, code, reply, number in reader.execute(
                self._not_accepted(chosen)
            ):
                attempt, fields = Attempt(Phase(phase), code, reply), counts[_unit(*unit)]
                is_refusal = verdict == Verdict.FAILED.value
                for field in _of_reply(attempt, is_refusal=is_refusal):
                    fields[field] = fields.get(field, 0) + number
        return {unit: Figures(**fields) for unit, fields in counts.items()}

    def later(
        self, connection: str | None = None, last_id: int | None = None
    ) -> dict[Unit, Figures]:
        """What returned mail and events say about accepted messages so far."""
        counts: _FieldCounts = defaultdict(dict)
        chosen = self._chosen(connection, last_id)
        with self._database.sorting() as reader:
            for *unit, kind, number in reader.execute(self._returned(chosen)):
                counts[_unit(*unit)][_FIELDS[kind]] = number
            for *unit, number in reader.execute(self._blocked(chosen)):
                counts[_unit(*unit)]["blocked_later"] = number
        return {unit: Figures(**fields) for unit, fields in counts.items()}

    @property
    def _recipients(self) -> sa.Table:
        return self._finder.tables.recipients

    def _chosen(self, connection: str | None, last_id: int | None) -> list[sa.ColumnElement[bool]]:
        recipients = self._recipients
        chosen = [recipients.c.campaign_id == self._campaign_id]
        if connection is not None:
            chosen.append(recipients.c.connection == connection)
        if last_id is not None:
            chosen.append(recipients.c.id <= last_id)
        return chosen

    @property
    def _unit(self) -> tuple[sa.Column[Any], sa.Column[Any]]:
        return self._recipients.c.connection, self._recipients.c.provider

    def _sent(self, chosen: list[sa.ColumnElement[bool]]) -> sa.Select[Any]:
        is_sent = self._recipients.c.status == RecipientStatus.SENT.value
        query = sa.select(*self._unit, sa.func.count()).where(*chosen, is_sent)
        return query.group_by(*self._unit)

    def _not_accepted(self, chosen: list[sa.ColumnElement[bool]]) -> sa.Select[Any]:
        """The replies that refused recipients, and those that put any off, blocks among them."""
        recipients, attempts = self._recipients, self._finder.tables.attempts
        said = (attempts.c.verdict, attempts.c.phase, attempts.c.code, attempts.c.reply)
        is_refused = sa.and_(
            attempts.c.verdict == Verdict.FAILED.value,
            recipients.c.status == RecipientStatus.FAILED.value,
        )
        return (
            sa.select(*self._unit, *said, sa.func.count())
            .join_from(attempts, recipients, attempts.c.recipient_id == recipients.c.id)
            .where(
                *chosen,
                sa.or_(is_refused, attempts.c.verdict == Verdict.DEFERRED.value),
                attempts.c.code.is_not(None),
            )
            .group_by(*self._unit, *said)
        )

    def _returned(self, chosen: list[sa.ColumnElement[bool]]) -> sa.Select[Any]:
        recipients = self._recipients
        return (
            sa.select(*self._unit, bounces.c.kind, sa.func.count(recipients.c.id.distinct()))
            .join_from(bounces, recipients, bounces.c.recipient_id == recipients.c.id)
            .where(
                *chosen,
                bounces.c.campaign_id == self._campaign_id,
                bounces.c.kind.in_(_FIELDS),
                recipients.c.status == RecipientStatus.SENT.value,
            )
            .group_by(*self._unit, bounces.c.kind)
        )

    def _blocked(self, chosen: list[sa.ColumnElement[bool]]) -> sa.Select[Any]:
        recipients = self._recipients
        return (
            sa.select(*self._unit, sa.func.count())
            .join_from(deliveries, recipients, deliveries.c.recipient_id == recipients.c.id)
            .where(
                *chosen,
                deliveries.c.campaign_id == self._campaign_id,
                deliveries.c.failure == FailureKind.BLOCK.value,
            )
            .group_by(*self._unit)
        )


_FIELDS = {
    BounceKind.HARD.value: "bounced_later",
    BounceKind.COMPLAINT.value: "complained",
}


def _of_reply(attempt: Attempt, *, is_refusal: bool) -> list[str]:
    """The fields of `Figures` in which a reply counts."""
    fields = ["refused" if is_refusal else "deferred"]
    if is_block(attempt):
        fields += ["blocked"] if is_refusal else ["blocked", "put_off"]
    return fields


def _unit(connection: str, provider: int | None) -> Unit:
    return Unit(connection, UNKNOWN if provider is None else provider)
