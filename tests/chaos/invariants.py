"""Invariants that hold whenever a campaign's run has ended, by itself or by a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from mailsluice.campaign import Strategy
from mailsluice.core.moves import MoveReason, placed
from mailsluice.core.status import CampaignStatus
from mailsluice.store import Campaigns, Canaries, Database
from mailsluice.store.affinities import Affinities
from mailsluice.store.schema import recipients
from tests.chaos.databases import opened
from tests.chaos.plan import Plan, campaign_name
from tests.chaos.servers import received

Rows = Sequence[Any]


def check_invariants(plan: Plan, number: int, *, has_ended: bool) -> None:
    """Check a campaign that no run sends now; `has_ended`: its run was not killed.

    Every accepted recipient is in exactly one state, and on the connection that the moves say.
    """
    with opened(plan.database_url) as database:
        record = Campaigns(database).find(campaign_name(number))
        if record is None or record.status is CampaignStatus.RESOLVING:
            return
        kept = recipients.c
        columns = (kept.id, kept.email, kept.connection, kept.status, kept.reassigned_from)
        query = sa.select(*columns).where(kept.campaign_id == record.id)
        with database.read() as reader:
            rows = reader.execute(query).all()
        assert len(rows) == record.accepted == len([*plan.addresses(number)])
        if has_ended:
            assert not [row.email for row in rows if row.status == "sending"]
        if plan.campaign(number).strategy is not Strategy.THROUGHPUT:
            _check_moves(plan, number, database, record.id, rows)
        _check_canaries(plan, database, record.id, rows)


def _check_moves(plan: Plan, number: int, database: Database, campaign_id: int, rows: Rows) -> None:
    """Check that moves tell where recipients are, and that none is back on its first connection."""
    stored = Campaigns(database)
    moves = stored.moves(campaign_id)
    assigned = {route.connection: route.assigned for route in stored.routes(campaign_id)}
    present = placed(assigned, moves)
    assert Counter(row.connection for row in rows) == Counter(present), (present, moves)
    assert not [row.email for row in rows if row.connection == row.reassigned_from]
    lent = Counter[str]()
    for move in moves:
        if move.reason is MoveReason.LENT:
            lent[move.origin] += move.recipients
    percent = plan.campaign(number).max_shift_percent
    assert all(lent[name] <= quota * percent / 100 for name, quota in assigned.items()), lent


def _check_canaries(plan: Plan, database: Database, campaign_id: int, rows: Rows) -> None:
    """Check that nothing was sent beyond a canary that is not decided."""
    at = received(plan)
    ids = {row.email: row.id for row in rows}
    for canary in Canaries(database, campaign_id).undecided():
        got = {one.recipient for one in at[canary.connection]} & ids.keys()
        assert all(ids[email] <= canary.last_id for email in got), canary


def check_affinities(plan: Plan) -> None:
    """Check that each campaign with affinity was remembered once, as assigned at its launch."""
    assigned = Counter[str]()
    remembered = Counter[str]()
    with opened(plan.database_url) as database:
        stored = Campaigns(database)
        for campaign in (one for one in map(plan.campaign, plan.campaigns) if one.has_affinity):
            for route in stored.routes(stored.get(campaign.name).id):
                assigned[route.connection] += route.assigned
        for group in Affinities(database).groups():
            remembered.update(Affinities(database).counts(group))
    assert assigned == remembered, (assigned, remembered)
