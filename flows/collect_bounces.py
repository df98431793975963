"""The flow that reads the mailbox for returned mail."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

import blocks.mailbox  # noqa: F401 - a form refers to a block, whose class Prefect has to know
from blocks.form import MailboxBlock
from blocks.loading import load_mailbox
from flows.support.after_events import after_events
from flows.support.operation import operation, state_database
from flows.support.rotated_tokens import keep_rotated_tokens
from mailsluice.bounces.collected import Collected
from mailsluice.oauth.tokens import Tokens
from tasks.collect_bounces import publish_collected, read_mailbox

_NEXT_RUN = "The next run continues"


@operation("collect-bounces", run_name="collect bounces", then=_NEXT_RUN)
async def collect_bounces(
    mailbox: MailboxBlock, limit: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
) -> State[Any]:
    """Read the mailbox for returned mail: bounces, complaints and unsubscribes.

    Records each mail for its recipient, and suppresses addresses that cannot be reached, or whose
    owners complain or unsubscribe.
    Run it on a schedule, every 15 minutes. Processed mail is moved to the processed folder; mail
    that is not understood, or about other messages, stays in place and is flagged. Returns
    `Collected`.

    Args:
        mailbox: The mailbox block, or its name.
        limit: The most mails that this run reads, the oldest first.
    """
    collected = await _collect(mailbox, limit)
    if collected.trouble:
        return Failed(message=f"{collected.summary()}. Stopped early: {collected.trouble}")
    return Completed(message=collected.summary(), data=collected)


async def _collect(name: str, limit: int) -> Collected:
    mailbox = (await load_mailbox(name)).to_mailbox(name)
    tokens = Tokens()
    async with keep_rotated_tokens(tokens, get_run_logger()), state_database() as database:
        collected = await read_mailbox(mailbox, database, limit, name, tokens)
        await publish_collected(name, collected)
        await after_events(database, collected.campaign_ids, get_run_logger())
    return collected
