"""Commands about probe mailboxes: copies that are read back."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from deployments.command.connections import prefect
from deployments.command.output import WAITING, AsJson, show_page
from deployments.command.sending import as_numbers

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State


def seed_test(
    file: Path,
    /,
    *,
    probe: Annotated[list[str], Parameter(negative=())],
    recipient: str = "",
    wait_minutes: int = 15,
    least_percent: int = 80,
    json: AsJson = False,
) -> int:
    """Send copies of a campaign's message to probe mailboxes, and show how much is in the inbox.

    The test is a run of the flow seed-test in this process. Its page with the trend is in Prefect.

    Args:
        file: The campaign document, YAML or JSON.
        probe: The name of a Mailbox block. Give it again for further ones.
        recipient: The address of the recipient whose values are filled in. Default: the first.
        wait_minutes: How long copies are looked for.
        least_percent: The share of each connection's copies that should be in the inbox.
        json: Print JSON instead of text.
    """
    import mailsluice
    from mailsluice.core.errors import MailsluiceError
    from mailsluice.operations.seed_test.result import SeedTestResult

    document = as_numbers(mailsluice.read_campaign(file))
    with prefect():
        state, result = asyncio.run(_run(document, probe, recipient, wait_minutes, least_percent))
    if not isinstance(result, SeedTestResult):
        raise MailsluiceError(str(state.message))
    copies = result.test.probes.copies if result.test.probes else ()
    values = {
        "good": result.is_good,
        "summary": result.summary(),
        "below": result.below,
        "copies": [
            {**asdict(copy), "placement": copy.placement, "delay_seconds": copy.delay_seconds}
            for copy in copies
        ],
    }
    show_page(result.markdown(""), values, as_json=json)
    return 0 if result.is_good else WAITING


async def _run(
    document: dict[str, Any], probes: list[str], recipient: str, minutes: int, least: int
) -> tuple[State[Any], Any]:
    """Run the flow; returns its final state, and its result, which is an error where it failed."""
    from flows.seed_test import seed_test as flow

    state: State[Any] = await flow(
        document,
        probes,
        recipient=recipient,
        wait_minutes=minutes,
        least_percent=least,
        return_state=True,
    )
    return state, await state.aresult(raise_on_failure=False)


COMMANDS = (seed_test,)
