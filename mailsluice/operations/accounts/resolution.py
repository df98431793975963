"""What a person decides about recipients of whom nobody can know whether they got the mail."""

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
    """What becomes of uncertain recipients."""

    SENT = "sent"
    """They got it: the provider's log says so, or they are given the benefit of the doubt."""
    RESEND = "resend"
    """They get it again, with the next run of the campaign."""
    FAILED = "failed"
    """They did not get it, and will not."""


_BECOMES: dict[Action, tuple[RecipientStatus, str]] = {
    Action.SENT: (RecipientStatus.SENT, "resolved by an operator: counted as sent"),
    Action.RESEND: (RecipientStatus.PENDING, "resolved by an operator: to be sent again"),
    Action.FAILED: (RecipientStatus.FAILED, "resolved by an operator: counted as failed"),
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """What was changed."""

    changed: int
    left: int
    """Recipients that are still uncertain."""
    not_found: int
    """Addresses that were named, but are not those of uncertain recipients."""
    open: int
    """Recipients that the next run sends to."""


async def resolve_uncertain(
    database: Database,
    name: str,
    action: Action,
    named: Iterable[str] | None = None,
    *,
    owner: str,
    home: Path,
) -> Resolved:
    """Settle the uncertain recipients of a campaign, all or those named.

    Rows in any other state stay as they are, so doing it again changes nothing. `named` are
    addresses; they are compared as the audience's were. The attempts made so far count on; the age
    of a recipient that is sent again counts anew.

    While a run is sending, this is refused (CampaignBusyError): that run may yet read the reply
    that settles a recipient, and decides at its end whether the campaign is completed. Raises
    LedgerError as well where the campaign does not exist, is not launched, or is cancelled and
    should be sent again.
    """
    wanted = None if named is None else await asyncio.to_thread(_folded, named)
    async with held(database, name, owner=owner, home=home) as run:
        if run.record.status is CampaignStatus.RESOLVING:
            raise LedgerError(f"campaign {name!r} has not been launched: nobody is uncertain")
        if run.record.status is CampaignStatus.CANCELLED and action is Action.RESEND:
            _refuse_cancelled(name)
        return await asyncio.to_thread(_resolve, database, run, action, wanted)


def read_addresses(source: RecipientSource) -> list[str]:
    """The e-mail column of a CSV or Parquet file, by row.

    In the place of a row without the right number of fields there is a text that is no address.
    Raises AudienceError where the file has no such column.
    """

    from mailsluice.audience.source import read_chunks  # pandas: for addresses alone

    def no_database(_: str) -> NoReturn:
        raise LedgerError("give a file, not a query")

    found: list[str] = []
    for chunk in read_chunks(source, connect=no_database):
        rows = dict(zip(chunk.rows.tolist(), chunk.email.tolist(), strict=True))
        rows |= {row: f"malformed row {row}" for row in chunk.malformed}
        found += [rows[row] for row in sorted(rows)]
    return found


def _refuse_cancelled(name: str) -> NoReturn:
    raise LedgerError(
        f"campaign {name!r} is cancelled, and cancelled is final: count them as sent or failed, or "
        "send to them under another name"
    )


def _folded(named: Iterable[str]) -> set[str]:
    given = [address for address in named if address.strip()]
    if not given:
        return set()
    import pandas as pd  # for addresses alone

    from mailsluice.audience.address import normalise

    checked = normalise(pd.Series(given, dtype="str"))
    good = checked["reason"] == ""
    # What is no address stays as it was given: it is counted as not found.
    return {*map(folded, checked.loc[good, "email"]), *pd.Series(given)[~good.to_numpy()]}


def _resolve(
    database: Database, run: CampaignRun, action: Action, wanted: set[str] | None
) -> Resolved:
    changed, found = 0, set[str]()
    for rows in Fates(database, run.id).recipients([RecipientStatus.UNCERTAIN]):
        chosen = [row for row in rows if wanted is None or folded(row.email) in wanted]
        if chosen:
            status, text = _BECOMES[action]
            record_decision(database, chosen, decision=action.value, status=status, text=text)
            found.update(folded(row.email) for row in chosen)
        changed += len(chosen)
    run.report()  # where the campaign stands now: completed, or ready to be sent on
    counts = run.outbox.counts()
    return Resolved(
        changed=changed,
        left=counts.of(RecipientStatus.UNCERTAIN),
        not_found=0 if wanted is None else len(wanted - found),
        open=counts.open,
    )
