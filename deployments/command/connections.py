"""SMTP connections, as they are stored in Prefect's blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cyclopts import App

from deployments.command.output import WAITING, AsJson, show

if TYPE_CHECKING:
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

    Raises MailsluiceError where no server answers.
    """
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from deployments.server import LOCAL_API
    from mailsluice.core.errors import MailsluiceError

    url = PREFECT_API_URL.value() or LOCAL_API
    with temporary_settings({PREFECT_API_URL: url}):
        with get_client(sync_client=True) as client:
            fault = client.api_healthcheck()
        if fault:
            raise MailsluiceError(
                f"the Prefect server at {url}, which has the connections, cannot be used"
                f" ({type(fault).__name__}): run `mailsluice serve` in another terminal, or set"
                " PREFECT_API_URL"
            )
        yield


@app.command(name="test")
def check(name: str, *, json: AsJson = False) -> int:
    """Check a connection step by step: name, link, TLS, login, what the server offers.

    Args:
        name: The name of the SMTP Connection block.
        json: Print JSON instead of text.
    """
    from datetime import UTC, datetime

    from mailsluice.operations.verify_connection import TrialMail, inspect
    from mailsluice.smtp.tokens import Tokens

    connection = next(one for one in load([name]) if one.name == name)
    check = asyncio.run(inspect(connection, TrialMail(), datetime.now(UTC), Tokens()))
    text = "\n".join([*check.lines(), check.summary()])
    show(text, {"works": check.works, "summary": check.summary()}, as_json=json)
    return 0 if check.works else WAITING
