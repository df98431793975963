"""Settling uncertain recipients: an operator decides whether they received the mail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NoReturn

from mailsluice.campaign import RecipientSource
from mailsluice.core.folding import folded
from mailsluice.core.status import CampaignStatus, RecipientStatus
from mailsluice.delivery import CampaignRun
from mailsluice.operations.accounts.errors import LedgerError
from mailsluice.operations.accounts.stored import held
from mailsluice.store import Database
from mailsluice.store.fates import Fates
from mailsluice.store.resolutions import record_decision


class Action(StrEnum):
    """The decision about uncertain recipients."""

    SENT = "sent"
    """Count them as sent, for example because the provider's log shows their mail."""
    RESEND = "resend"
    """Send to them again with the next run of the campaign."""
    FAILED = "failed"
    """Count them as failed, without sending again."""


_BECOMES: dict[Action, tuple[RecipientStatus, str]] = {
    Action.SENT: (RecipientStatus.SENT, "resolved by an operator: counted as sent"),
    Action.RESEND: (RecipientStatus.PENDING, "resolved by an operator: to be sent again"),
    Action.FAILED: (RecipientStatus.FAILED, "resolved by an operator: counted as failed"),
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """The numbers after the decision."""

    changed: int
    left: int
    """Recipients that are still uncertain."""
    not_found: int
    """Given addresses that belong to no uncertain recipient."""
    open: int
    """Recipients that the next run will send to."""


async def resolve_uncertain(
    database: Database,
    name: str,
    action: Action,
    named: Iterable[str] | None = None,
    *,
    owner: str,
    home: Path,
) -> Resolved:
    """Settle the uncertain recipients of a campaign, all of them or those with given addresses.

    Recipients in other states stay as they are, so a repeated call changes nothing. Attempts made
    so far keep counting; the age of a recipient that is sent to again starts at its next attempt.

    Args:
        database: The state database.
        name: The campaign's name.
        action: The decision.
        named: Addresses in any spelling; None for all uncertain recipients.
        owner: The name of this call, for runs that it keeps from sending meanwhile.
        home: The folder of the journals.

    Raises:
        OutboxError: There is no such campaign.
        CampaignBusyError: A run is sending the campaign. The run may still read the reply that
            settles a recipient, and decides at its end whether the campaign is completed.
        LedgerError: The campaign is archived or not launched, or it is cancelled and `action` is
            RESEND.
    """
    wanted = None if named is None else await asyncio.to_thread(_folded, named)
    async with held(database, name, owner=owner, home=home) as run:
        if run.record.status is CampaignStatus.RESOLVING:
            raise LedgerError(
                f"campaign {name!r} has not been launched: it has no uncertain recipients"
            )
        if run.record.status is CampaignStatus.CANCELLED and action is Action.RESEND:
            _refuse_cancelled(name)
        return await asyncio.to_thread(_resolve, database, run, action, wanted)


def read_addresses(source: RecipientSource) -> list[str]:
    """The e-mail column of a CSV or Parquet file, in the order of its rows.

    A row with a wrong number of fields gives a text that is not an address. Raises AudienceError
    when the file cannot be read or has no such column.
    """

    from mailsluice.audience.source import read_chunks  # pandas: for addresses alone

    def no_database(_: str) -> NoReturn:
        raise LedgerError("addresses come from a file here, not from a query: give its path")

    addresses: list[str] = []
    for chunk in read_chunks(source, connect=no_database):
        rows = dict(zip(chunk.rows.tolist(), chunk.email.tolist(), strict=True))
        rows |= {row: f"malformed row {row}" for row in chunk.malformed}
        addresses += [rows[row] for row in sorted(rows)]
    return addresses


def _refuse_cancelled(name: str) -> NoReturn:
    raise LedgerError(
        f"campaign {name!r} is cancelled, and cancelled is final: count its uncertain recipients as"
        " sent or failed, or send to them in a campaign with another name"
    )


def _folded(named: Iterable[str]) -> set[str]:
    given = [address for address in named if address.strip()]
    if not given:
        return set()
    import pandas as pd  # for addresses alone

    from mailsluice.audience.address import normalise

    checked = normalise(pd.Series(given, dtype="str"))
    good = checked["reason"] == ""
    # Texts that are not addresses stay as given, and count as not found.
    return {*map(folded, checked.loc[good, "email"]), *pd.Series(given)[~good.to_numpy()]}


def _resolve(
    database: Database, run: CampaignRun, action: Action, wanted: set[str] | None
) -> Resolved:
    changed, settled = 0, set[str]()
    for rows in Fates(database, run.id).recipients([RecipientStatus.UNCERTAIN]):
        chosen = [row for row in rows if wanted is None or folded(row.email) in wanted]
        if chosen:
            status, text = _BECOMES[action]
            record_decision(
                database, run.id, chosen, decision=action.value, status=status, text=text
            )
            settled.update(folded(row.email) for row in chosen)
        changed += len(chosen)
    run.report()  # records the campaign's status: completed, or ready to be continued
    counts = run.outbox.counts()
    return Resolved(
        changed=changed,
        left=counts.of(RecipientStatus.UNCERTAIN),
        not_found=0 if wanted is None else len(wanted - settled),
        open=counts.open,
    )
