"""Deciding about the parts of a campaign that its stop-loss or its canary holds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from mailsluice.operations.accounts.errors import LedgerError
from mailsluice.operations.accounts.stored import held
from mailsluice.stop_loss import Decision, Hold
from mailsluice.stop_loss.telling import named, reason
from mailsluice.store import Campaigns, Database, Holds, Providers


@dataclass(frozen=True, slots=True)
class HeldPart:
    """A part of a campaign that waits for a decision."""

    id: int
    part: str
    """The connection, or the mailbox provider and the connection."""
    reason: str
    waiting: int
    """Recipients that wait for their mail."""


def held_parts(database: Database, name: str) -> list[HeldPart]:
    """The parts of a campaign that wait for a decision. Blocking.

    Raises OutboxError when there is no such campaign.
    """
    campaign_id = Campaigns(database).get(name).id
    holds, providers = Holds(database, campaign_id), Providers(database).of(campaign_id)
    return [
        HeldPart(hold.id, named(hold.unit, providers), reason(hold), holds.waiting(hold.unit))
        for hold in holds.undecided()
    ]


async def decide(
    database: Database,
    name: str,
    decision: Decision,
    *,
    part: int | None = None,
    target: str | None = None,
    owner: str,
    home: Path,
) -> int:
    """Decide about the held parts of a campaign; the next run of the campaign goes on.

    Args:
        database: The state database.
        name: The campaign's name.
        decision: What becomes of the recipients that wait there.
        part: The id of a held part (`HeldPart`); None for all of them.
        target: For MOVE, the connection that takes the recipients over.
        owner: The name of this call, for runs that it keeps from sending meanwhile.
        home: The folder of the journals.

    Returns:
        How many parts were decided about.

    Raises:
        OutboxError: There is no such campaign.
        CampaignBusyError: A run is sending the campaign.
        LedgerError: Nothing is held, or the target cannot take the recipients over.
    """
    if (target is None) is (decision is Decision.MOVE):
        raise LedgerError("name the connection to move to, with the decision 'move' and no other")
    async with held(database, name, owner=owner, home=home) as run:
        holds = await asyncio.to_thread(run.undecided)
        chosen = [hold for hold in holds if part in (None, hold.id)]
        if not chosen:
            known = ", ".join(str(hold.id) for hold in holds) or "none"
            raise LedgerError(f"campaign {name!r} has no such held part (held: {known})")
        for hold in chosen:
            possible = await asyncio.to_thread(run.may_move_to, hold.unit)
            _refuse_target(hold, target, possible)
        for hold in chosen:
            await asyncio.to_thread(run.decide, hold, decision, target)
        return len(chosen)


def _refuse_target(hold: Hold, target: str | None, possible: list[str]) -> None:
    if target is not None and target not in possible:
        names = ", ".join(possible) or "none"
        raise LedgerError(
            f"the recipients of {hold.unit.connection!r} cannot move to {target!r} (possible:"
            f" {names}): name another connection of the campaign that is neither held nor warms up"
        )
