"""The flow that sends copies of a campaign's message to the operator's own addresses."""

from __future__ import annotations

from typing import Annotated, Any

from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

import blocks.mailbox  # noqa: F401 - a form refers to a block, whose class Prefect has to know
from blocks.form import ProbeForm
from flows.support.copies import send_copies
from flows.support.document import CampaignParameter, for_its_day, named_in
from flows.support.operation import operation
from mailsluice.operations.send_test import checked_addresses
from mailsluice.operations.send_test.copies import MOST, MOST_PROBES
from tasks.send_test import publish_test

# Bounds for the form alone: an error of Prefect's own check would repeat the addresses.
Addresses = Annotated[
    list[str], Field(json_schema_extra={"minItems": 0, "maxItems": MOST, "title": "To"})
]
ChosenRecipient = Annotated[str, Field(json_schema_extra={"title": "Values of recipient"})]
Probes = Annotated[
    list[ProbeForm],
    Field(max_length=MOST_PROBES, json_schema_extra={"title": "Probe mailboxes"}),
]
WaitMinutes = Annotated[int, Field(ge=1, le=60)]


def _run_name() -> str:
    return f"test {named_in(flow_run.get_parameters().get('campaign'))}"


@operation("send-test", run_name=_run_name)
async def send_test(
    campaign: CampaignParameter,
    to: Addresses = [],  # noqa: B006 - Prefect copies it; the form shows an empty list
    recipient: ChosenRecipient = "",
    probes: Probes = [],  # noqa: B006
    wait_minutes: WaitMinutes = 10,
) -> State[Any]:
    """Send one recipient's message to your own addresses, over each connection.

    Each address gets one copy over each connection, marked in its subject. The campaign and its
    recipients do not change. Probe mailboxes get a copy, too, and are then read: inbox or spam,
    delay, SPF, DKIM and DMARC, TLS. Returns the `SendTestResult`.

    Args:
        campaign: The campaign, as send-campaign takes it.
        to: Up to ten addresses of your own, best at different providers.
        recipient: The address of the recipient whose values are filled in. Left empty: the first
            recipient in send order, which plan-campaign shows.
        probes: Mailbox blocks of your own mailboxes at the providers of your recipients. Nothing in
            them is changed.
        wait_minutes: How long copies are looked for in probe mailboxes.
    """
    document, day = await for_its_day(campaign)
    addresses = checked_addresses(to, least=0 if probes else 1)
    mailboxes = [probe.mailbox for probe in probes]
    result = await send_copies(document, day, addresses, recipient, mailboxes, wait_minutes)
    await publish_test(result)
    ended = Completed if result.is_good else Failed
    return ended(message=result.summary(), data=result)
