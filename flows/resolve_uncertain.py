"""The flow that resolves uncertain recipients."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows.support.operation import operation, run_owner, state_database
from flows.verify_campaign import CampaignName
from mailsluice.campaign import RecipientSource
from mailsluice.operations import accounts
from mailsluice.store import home
from tasks.campaigns import refresh_campaigns


@operation("resolve-uncertain", run_name="resolve {campaign}")
async def resolve_uncertain(
    campaign: CampaignName,
    action: accounts.Action,
    emails: Sequence[str] = (),
    path: str = "",
    email_column: Annotated[str, Field(min_length=1)] = "email",
) -> State[Any]:
    """Resolve uncertain recipients: whether their message arrived is not known.

    Recipients in other states do not change. The flow fails while a run is sending the campaign.
    Returns `Resolved`.

    Args:
        campaign: The campaign's name; with the day, where {date} was in it.
        action: sent: count them as sent. resend: the next run of the campaign sends to them again.
            failed: count them as failed.
        emails: The addresses to resolve. Prefect stores them with this run, in clear text; use a
            file to avoid that. Left empty, and no file given: all uncertain recipients.
        path: A CSV or Parquet file of the addresses to resolve, on the worker's machine, such as an
            export from which you removed the other rows.
        email_column: The file's column of addresses.
    """
    listed = await asyncio.to_thread(_read, path, email_column) if path else []
    named = [*emails, *listed] if emails or path else None
    async with state_database() as database:
        resolved = await accounts.resolve_uncertain(
            database, campaign, action, named, owner=run_owner(), home=home()
        )
        await refresh_campaigns(database)
    return Completed(message=_message(action, resolved), data=resolved)


def _read(path: str, email_column: str) -> list[str]:
    return accounts.read_addresses(RecipientSource(path=path, email_column=email_column))


def _message(action: accounts.Action, resolved: accounts.Resolved) -> str:
    parts = [f"{resolved.changed:,} recipients resolved as {action.value}"]
    if resolved.not_found:
        parts.append(f"{resolved.not_found:,} of the addresses are not uncertain recipients")
    if resolved.left:
        parts.append(f"{resolved.left:,} are still uncertain")
    if resolved.open:
        parts.append(f"{resolved.open:,} wait for the next run of the campaign")
    return "; ".join(parts)
