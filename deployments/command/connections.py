"""Commands about SMTP connections, which are stored in Prefect's blocks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cyclopts import App

from deployments.command.output import WAITING, AsJson, show

if TYPE_CHECKING:
    from mailsluice.operations.verify_connection import ConnectionCheck, TrialMail
    from mailsluice.smtp.connection import Connection

app = App(name="connection", help="SMTP connections, as stored in Prefect's blocks.")


def load(names: Iterable[str]) -> list[Connection]:
    """Load the connections of these names, and those that their warm-ups spill to."""
    from blocks.loading import load_connections

    with prefect():
        return list(asyncio.run(load_connections(names)).values())


@contextmanager
def prefect() -> Iterator[None]:
    """Use the Prefect server of PREFECT_API_URL or the profile, else that of `mailsluice serve`.

    Raises MailsluiceError if no server answers.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from deployments.server import LOCAL_API
    from mailsluice.core.errors import MailsluiceError

    # At the exit Prefect sends the event that a block was loaded, and warns that it is doing so.
    logging.getLogger("EventsWorker").setLevel(logging.ERROR)
    url = PREFECT_API_URL.value() or LOCAL_API
    with temporary_settings({PREFECT_API_URL: url}):
        with get_client(sync_client=True) as client:
            fault = client.api_healthcheck()
        if fault:
            raise MailsluiceError(
                f"the Prefect server at {url}, where the connections are stored, cannot be used"
                f" ({type(fault).__name__}): run `mailsluice serve` in another terminal, or set"
                " PREFECT_API_URL to your server's"
            )
        yield


@app.command(name="limits")
def limits(name: str, /, *, used_this_month: int | None = None, json: AsJson = False) -> int:
    """Show how much of each limit of a connection is used now, over all campaigns.

    Args:
        name: The name of the SMTP Connection block.
        used_this_month: First set how many messages this month's quota has had, as your provider
            says: others may have sent over this login, too.
        json: Print JSON instead of text.
    """
    from mailsluice.operations.quotas import limit_uses, set_used_this_month
    from mailsluice.store import Database

    connection = next(loaded for loaded in load([name]) if loaded.name == name)
    database = Database()
    try:
        if used_this_month is not None:
            set_used_this_month(database, connection, used_this_month)
        uses = limit_uses(database, connection)
    finally:
        database.close()
    lines = [
        f"{use.limit}: {use.used:,} of {use.allowed:,} used"
        + (f", until {use.resets_at:%Y-%m-%d %H:%M} UTC" if use.resets_at else "")
        for use in uses
    ]
    show("\n".join(lines) or f"{name} has no limits", uses, as_json=json)
    return 0


@app.command(name="test")
def check(name: str, /, *, sender: str = "", recipient: str = "", json: AsJson = False) -> int:
    """Check a connection step by step: name, link, TLS, login, what the server offers.

    Args:
        name: The name of the SMTP Connection block.
        sender: The sender of a test mail. Default: no mail is sent.
        recipient: The recipient of the test mail: an address of your own.
        json: Print JSON instead of text.
    """
    from dataclasses import asdict

    from mailsluice.operations.verify_connection import TrialMail

    connection = next(loaded for loaded in load([name]) if loaded.name == name)
    mail = TrialMail(sender=sender, recipient=recipient)
    with prefect():
        result = asyncio.run(_inspect(connection, mail))
    values = {"works": result.works, "summary": result.summary(), **asdict(result)}
    show("\n".join([*result.lines(), "", result.summary()]), values, as_json=json)
    return 0 if result.works else WAITING


async def _inspect(connection: Connection, mail: TrialMail) -> ConnectionCheck:
    from datetime import UTC, datetime

    from flows.support.rotated_tokens import keep_rotated_tokens
    from mailsluice.oauth.tokens import Tokens
    from mailsluice.operations.verify_connection import inspect

    tokens = Tokens()
    async with keep_rotated_tokens(tokens, logging.getLogger(__name__)):
        return await inspect(connection, mail, datetime.now(UTC), tokens)
