"""The flow that reads the mailbox that mail comes back to."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from blocks.form import MailboxBlock
from blocks.loading import load_mailbox
from flows.support.bounce_shares import tell_bounce_shares
from flows.support.operation import operation, state_database
from mailsluice.bounces.collected import Collected
from tasks.collect_bounces import publish_collected, read_mailbox

_NEXT_RUN = "The next run continues"


@operation("collect-bounces", run_name="collect bounces", then=_NEXT_RUN)
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
    found = await _collect(mailbox, limit)
    if found.trouble:
        return Failed(message=f"{found.summary()}. Stopped early: {found.trouble}")
    return Completed(message=found.summary(), data=found)


async def _collect(name: str, limit: int) -> Collected:
    mailbox = (await load_mailbox(name)).to_mailbox()
    async with state_database() as database:
        found = await read_mailbox(mailbox, database, limit, name)
        await publish_collected(name, found)
        await tell_bounce_shares(database, found.campaign_ids, get_run_logger())
    return found
