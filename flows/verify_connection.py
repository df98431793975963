"""The flow that checks a connection before it is used."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from blocks.form import ConnectionBlock
from blocks.loading import load_connection, load_host_sessions
from flows.support.operation import operation
from flows.support.rotated_tokens import keep_rotated_tokens
from flows.support.session_slots.spare import spare_slot
from mailsluice.oauth.tokens import Tokens
from mailsluice.operations.verify_connection import ConnectionCheck, TrialMail, inspect
from mailsluice.operations.verify_connection.host_remarks import host_remarks
from tasks.inspection import publish_inspection

_NO_MAIL = TrialMail()


@operation("verify-connection", run_name="verify {connection}")
async def verify_connection(
    connection: ConnectionBlock, test_mail: TrialMail = _NO_MAIL
) -> State[Any]:
    """Check a connection step by step: host name, link, TLS, login, the server's extensions.

    The run ends Completed with the results, or Failed with what is wrong and the next step; both
    ways a page under Artifacts shows the steps. Returns the `ConnectionCheck`.

    Args:
        connection: The SMTP connection, or its name.
        test_mail: A mail to send over the connection. Left empty: no mail is sent.
    """
    check = await _check(connection, test_mail)
    await publish_inspection(check)
    final = Completed if check.works else Failed
    return final(message=check.summary(), data=check)


async def _check(name: str, test_mail: TrialMail) -> ConnectionCheck:
    connection = await load_connection(name)
    tokens = Tokens()
    async with (
        keep_rotated_tokens(tokens, get_run_logger()),
        spare_slot(connection) as has_slot,
    ):
        check = await inspect(connection, test_mail, datetime.now(UTC), tokens)
    remarks: list[str] = []
    if most := connection.max_sessions_per_host:
        remarks = host_remarks(name, most, await load_host_sessions(connection))
    return replace(check, has_slot=has_slot, host_remarks=remarks)
