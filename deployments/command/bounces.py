"""Commands about returned mail."""

from __future__ import annotations

import asyncio

from cyclopts import App

from deployments.command.connections import prefect
from deployments.command.output import WAITING, AsJson, show

app = App(name="bounces", help="Mail that could not be delivered, and complaints.")


@app.command
def collect(mailbox: str, /, *, limit: int = 10_000, json: AsJson = False) -> int:
    """Read the mailbox that undeliverable mail is returned to, and record what it says.

    Args:
        mailbox: The name of the Mailbox block.
        limit: The most mails to read, the oldest first.
        json: Print JSON instead of text.
    """
    from blocks.loading import load_mailbox
    from mailsluice.operations import collect_bounces
    from mailsluice.store import Database

    with prefect():
        account = asyncio.run(load_mailbox(mailbox)).to_mailbox()
    with Database() as database:
        done = collect_bounces.collect(
            account, database, limit=limit, source=f"mailbox {mailbox}", goes_on=lambda: True
        )
    text = f"{done.summary()}. Stopped early: {done.trouble}" if done.trouble else done.summary()
    show(text, done, as_json=json)
    return WAITING if done.trouble else 0
