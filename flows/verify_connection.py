"""The flow that checks a connection before it is used."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from blocks.form import ConnectionBlock
from blocks.loading import load_connection
from flows.support.failing import TROUBLE, failed
from flows.support.labels import labelled
from flows.support.rotated_tokens import keep_rotated_tokens
from flows.support.session_slots.spare import spare_slot
from mailsluice.operations.verify_connection import ConnectionCheck, TrialMail, inspect
from mailsluice.smtp.tokens import Tokens
from tasks.inspection import publish_inspection

_NO_MAIL = TrialMail()


@labelled
@flow(name="verify-connection", flow_run_name="verify {connection}", persist_result=False)
async def verify_connection(
    connection: ConnectionBlock, test_mail: TrialMail = _NO_MAIL
) -> State[Any]:
    """Check a connection step by step: name, link, TLS, login, what the server offers.

    Ends Completed with what was found, or Failed with what is wrong and the next step; either way
    with a page. Returns the `Inspection`.

    Args:
        connection: The SMTP connection, or its name.
        test_mail: A mail that is really sent over it. Left empty: none is.
    """
    try:
        inspection = await _inspect(connection, test_mail)
    except TROUBLE as error:
        return failed(error)
    await publish_inspection(inspection)
    final = Completed if inspection.works else Failed
    return final(message=inspection.summary(), data=inspection)


async def _inspect(name: str, test_mail: TrialMail) -> ConnectionCheck:
    connection = await load_connection(name)
    tokens = Tokens()
    async with (
        keep_rotated_tokens(tokens, get_run_logger()),
        spare_slot(connection) as has_slot,
    ):
        found = await inspect(connection, test_mail, datetime.now(UTC), tokens)
    return replace(found, has_slot=has_slot)
