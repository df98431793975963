"""Commands about returned mail."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from cyclopts import App

from deployments.command.connections import prefect
from deployments.command.output import WAITING, AsJson, show

if TYPE_CHECKING:
    from mailsluice.bounces.collected import Collected

app = App(name="bounces", help="Mail that could not be delivered, and complaints.")


@app.command
def collect(mailbox: str, /, *, limit: int = 10_000, json: AsJson = False) -> int:
    """Read the mailbox that undeliverable mail is returned to, and record what it says.

    Args:
        mailbox: The name of the Mailbox block.
        limit: The most mails to read, the oldest first.
        json: Print JSON instead of text.
    """
    with prefect():
        done = asyncio.run(_collected(mailbox, limit))
    text = f"{done.summary()}. Stopped early: {done.trouble}" if done.trouble else done.summary()
    show(text, done, as_json=json)
    return WAITING if done.trouble else 0


async def _collected(name: str, limit: int) -> Collected:
    from blocks.loading import load_mailbox
    from flows.support.rotated_tokens import keep_rotated_tokens
    from mailsluice.oauth.tokens import Tokens
    from mailsluice.store import Database
    from tasks.collect_bounces import read_mailbox

    account, tokens = (await load_mailbox(name)).to_mailbox(name), Tokens()
    async with keep_rotated_tokens(tokens, logging.getLogger(__name__)):
        with Database() as database:
            return await read_mailbox.fn(account, database, limit, name, tokens)
