"""The flow that reads the mailbox that mail comes back to."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from blocks.form import MailboxBlock
from blocks.loading import load_mailbox
from flows.support.bounce_shares import tell_bounce_shares
from flows.support.failing import TROUBLE, failed
from flows.support.labels import labelled
from mailsluice.bounces.collected import Collected
from mailsluice.store import Database
from tasks.collect_bounces import publish_collected, read_mailbox


@labelled
@flow(name="collect-bounces", flow_run_name="collect bounces", persist_result=False)
async def collect_bounces(
    mailbox: MailboxBlock, limit: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
) -> State[Any]:
    """Read the mailbox that undeliverable mail and complaints come back to.

    Records each under the recipient that it is about, and suppresses whom mail cannot reach. Made
    for a schedule of every 15 minutes. What is done with is moved to the processed folder; what is
    not understood or not ours stays, flagged. Returns `Collected`.

    Args:
        mailbox: The mailbox block, or its name.
        limit: The most mails that this run reads, the oldest first.
    """
    try:
        found = await _collect(mailbox, limit)
    except TROUBLE as error:
        return failed(error, "The next run continues")
    if found.trouble:
        return Failed(message=f"{found.summary()}. Stopped early: {found.trouble}")
    return Completed(message=found.summary(), data=found)


async def _collect(name: str, limit: int) -> Collected:
    mailbox = (await load_mailbox(name)).to_mailbox()
    database = await asyncio.to_thread(Database)
    try:
        found = await read_mailbox(mailbox, database, limit, name)
        await publish_collected(name, found)
        await tell_bounce_shares(database, found.campaign_ids, get_run_logger())
    finally:
        await asyncio.to_thread(database.close)
    return found
