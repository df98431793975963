"""Checks of connections to test servers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import cast

from mailsluice.operations.verify_connection import (
    ConnectionCheck,
    Result,
    Step,
    TrialMail,
    inspect,
)
from mailsluice.smtp.connection import Connection, Security
from tests.eventually import eventually_async
from tests.integration.hurried_loop import HurriedLoop
from tests.integration.smtp_fixtures import run
from tests.smtpd import SmtpServer

USERS = {"jane": "s3cret"}
LOGIN = {"username": "jane", "password": "s3cret"}
MAIL = TrialMail(sender="News <news@sender.example>", recipient="mailbox@recipient.example")
NO_MAIL = TrialMail()


def local(host: str, port: int) -> Connection:
    """A connection without TLS and login."""
    return Connection("test", host, port, security=Security.NONE, local_hostname="c.example")


def inspected(
    connection: Connection,
    trial: TrialMail = NO_MAIL,
    hanging: SmtpServer | None = None,
    silent: SmtpServer | None = None,
) -> ConnectionCheck:
    """Check the connection; time-outs take no time once a server hangs, or silently has a session.

    A connection that works has no failed finding, another one has one.
    """

    async def work() -> ConnectionCheck:
        checking = asyncio.create_task(inspect(connection, trial, datetime.now(UTC)))
        if silent is not None:
            await eventually_async(lambda: silent.sessions)
            cast("HurriedLoop", asyncio.get_running_loop()).hurry()
        return await checking

    found: ConnectionCheck = run(work, hanging=hanging)
    assert [one.step for one in found.findings if one.result is Result.FAILED] == (
        [] if found.works else [failed_step(found)]
    )
    assert sorted(one.step for one in found.findings) == sorted(Step)
    return found


def failed_step(found: ConnectionCheck) -> Step:
    (failed,) = (one for one in found.findings if one.result is Result.FAILED)
    return failed.step


def result(found: ConnectionCheck, step: Step) -> Result:
    return next(one.result for one in found.findings if one.step is step)


def note(found: ConnectionCheck, step: Step) -> str:
    return next(one.note for one in found.findings if one.step is step)
