"""The flow that measures, on a schedule, how much mail is in the inbox."""

from __future__ import annotations

from typing import Annotated, Any

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from flows.send_test import ChosenRecipient, Probes, WaitMinutes
from flows.support.copies import send_copies
from flows.support.document import CampaignParameter, for_its_day, named_in
from flows.support.events import Milestone, emit
from flows.support.operation import operation, state_database
from mailsluice.core.errors import CampaignError
from mailsluice.operations.seed_test.result import SeedTestResult
from tasks.seed_test import publish_seed_test, store_seed_test

LeastPercent = Annotated[
    int, Field(ge=0, le=100, json_schema_extra={"title": "Least % in the inbox"})
]


def _run_name() -> str:
    return f"seed test {named_in(flow_run.get_parameters().get('campaign'))}"


@operation("seed-test", run_name=_run_name)
async def seed_test(
    campaign: CampaignParameter,
    probes: Probes,
    recipient: ChosenRecipient = "",
    wait_minutes: WaitMinutes = 15,
    least_percent: LeastPercent = 80,
) -> State[Any]:
    """Send copies to probe mailboxes over each connection, and show the trend of their placement.

    Run it on a schedule. Results are stored, so that the page shows the share in the inbox and the
    delay over time. The run fails, and the event `mailsluice.placement.low` is emitted, when a
    connection falls below the least share. Returns the `SeedTestResult`.

    Args:
        campaign: The campaign whose message is sent, as send-campaign takes it.
        probes: Mailbox blocks of your own mailboxes at the providers of your recipients.
        recipient: The address of the recipient whose values are filled in. Left empty: the first
            recipient in send order.
        wait_minutes: How long copies are looked for.
        least_percent: The share of each connection's copies that should be in the inbox.
    """
    if not probes:
        raise CampaignError("a seed test needs a mailbox to read: add a Mailbox block to 'probes'")
    name = named_in(campaign)
    document, day = await for_its_day(campaign)
    mailboxes = [probe.mailbox for probe in probes]
    test = await send_copies(document, day, [], recipient, mailboxes, wait_minutes, is_marked=False)
    async with state_database() as database:
        result = await store_seed_test(database, test, name, least_percent)
    await publish_seed_test(result, name)
    _tell(result, name)
    ended = Completed if result.is_good else Failed
    return ended(message=result.summary(), data=result)


def _tell(result: SeedTestResult, campaign: str) -> None:
    """Emit an event for each connection that fell below the least share."""
    for fall in result.falls:
        emit(
            Milestone.PLACEMENT_LOW,
            campaign,
            fall.connection,
            percent=round(fall.point.percent, 1),
            before=round(fall.before.percent, 1) if fall.before else None,
            least=result.least_percent,
            copies=fall.point.copies,
            spam=fall.point.spam,
            missing=fall.point.missing,
        )
