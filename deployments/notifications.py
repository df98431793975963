"""`python -m deployments.notifications slack-webhook/ops`: send messages about campaigns.

Creates automations on the Prefect server that send messages through a notification block (Slack,
Teams, e-mail, a webhook ...), or updates them, by their names. An automation that an operator has
switched off stays off.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import timedelta
from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from deployments.automations import OF_SEND_CAMPAIGN, RUNS, put
from flows.support.events import Milestone
from mailsluice.core.errors import MailsluiceError

_ONCE = timedelta(seconds=10)
"""The window of a trigger. Without one, the server sometimes acts twice on one event."""
_GOES_ON = (
    *("Scheduled", "AwaitingRetry", "Late", "Pending", "Running", "Paused", "Suspended"),
    *("Completed", "Failed", "TimedOut", "Cancelling", "Cancelled"),
)
"""The states that a run may get after it has crashed."""
CRASHED_FOR = timedelta(minutes=2)
"""A run that stays crashed for this time does not restart by itself."""
_RUN = "{{ flow_run.state.message }}\n{{ flow_run|ui_url }}"
_NOTIFY = "notify"
"""The capability of blocks that can send a message."""


class NotificationError(MailsluiceError):
    """No message can be sent through this block."""


_RESPONSIBLE = (
    "{% if event.payload.provider %}, because of the mail to {{ event.payload.provider }} alone"
    "{% endif %}"
)


def notifications(block_id: UUID, crashed_for: timedelta = CRASHED_FOR) -> list[Automation]:
    """The notifications: ends of campaigns, quarantined connections, spam, bounces, complaints."""

    def of_run(what: str, trigger: EventTrigger, subject: str) -> Automation:
        return _automation(what, trigger, block_id, f"{{{{ flow_run.name }}}}: {subject}", _RUN)

    def of_event(
        what: str, milestone: Milestone, subject: str, body: str, threshold: str | None = None
    ) -> Automation:
        return _automation(what, _told(milestone, threshold), block_id, subject, body)

    def too_many(kind: str, milestone: Milestone, threshold: str, advice: str) -> Automation:
        counted = "bounced" if milestone is Milestone.BOUNCES_HIGH else "complained"
        return of_event(
            f"{kind} above {threshold} %",
            milestone,
            f"{{{{ event.payload.campaign }}}}: {kind} above {threshold} %",
            f"{{{{ event.payload.{counted} }}}} of {{{{ event.payload.sent }}}} {counted}"
            f" ({{{{ event.payload.share }}}} %){_RESPONSIBLE}. {advice}",
            threshold,
        )

    return [
        of_run("a campaign is finished", _becomes("Completed"), "finished"),
        of_run("a campaign failed", _becomes("Failed", "TimedOut"), "failed"),
        of_run(
            "a campaign crashed",
            _stays_crashed(crashed_for),
            "crashed, and does not continue by itself",
        ),
        of_event(
            "a connection is quarantined",
            Milestone.CONNECTION_QUARANTINED,
            "Connection {{ event.resource.name }} is quarantined",
            "Campaign {{ event.payload.campaign }}: {{ event.payload.reason }}\n"
            "Its recipients wait. Check it with verify-connection, fix it, then retry the run.",
        ),
        of_event(
            "a part of a campaign is held",
            Milestone.HELD,
            "{{ event.payload.campaign }}: a decision is needed",
            "{{ event.payload.held }} is held: {{ event.payload.reason }}.\n"
            "When the rest is sent, the run waits for you: resume it in the UI, and decide.",
        ),
        of_event(
            "too little mail is in the inbox",
            Milestone.PLACEMENT_LOW,
            "{{ event.resource.name }}: {{ event.payload.percent }} % in the inbox",
            "Seed test {{ event.payload.campaign }}: {{ event.payload.spam }} of"
            " {{ event.payload.copies }} copies are in spam folders, {{ event.payload.missing }}"
            " are missing; {{ event.payload.least }} % should be in the inbox.\n"
            "The page of the seed test names the next step for each mailbox.",
        ),
        too_many("bounces", Milestone.BOUNCES_HIGH, "2", "Look at the list: how old is it?"),
        too_many(
            "bounces",
            Milestone.BOUNCES_HIGH,
            "5",
            "Providers stop accounts at this share: suspend the campaign and clean the list.",
        ),
        too_many(
            "complaints",
            Milestone.COMPLAINTS_HIGH,
            "0.1",
            "Mailbox providers begin to put mail aside: who is on this list, and is the way to"
            " unsubscribe easy to see?",
        ),
        too_many(
            "complaints",
            Milestone.COMPLAINTS_HIGH,
            "0.3",
            "Gmail and Yahoo refuse or hide the mail of such senders: suspend the campaign.",
        ),
    ]


def _becomes(*states: str) -> EventTrigger:
    """A run of send-campaign gets into one of these states."""
    return EventTrigger(
        posture=Posture.Reactive,
        expect={f"prefect.flow-run.{state}" for state in states},
        match=RUNS,
        match_related=OF_SEND_CAMPAIGN[:1],
        for_each={"prefect.resource.id"},
        threshold=1,
        within=_ONCE,
    )


def _stays_crashed(within: timedelta) -> EventTrigger:
    """A run of send-campaign crashed, and has stayed crashed since."""
    return EventTrigger(
        posture=Posture.Proactive,
        after={"prefect.flow-run.Crashed"},
        expect={f"prefect.flow-run.{state}" for state in _GOES_ON},
        match=RUNS,
        match_related=OF_SEND_CAMPAIGN[:1],
        for_each={"prefect.resource.id"},
        threshold=1,
        within=within,
    )


def _told(milestone: Milestone, threshold: str | None) -> EventTrigger:
    """An event of a campaign, or of one of its connections, is emitted."""
    labels = {"mailsluice.threshold": threshold} if threshold else {}
    return EventTrigger(
        posture=Posture.Reactive,
        expect={str(milestone)},
        match=ResourceSpecification({"prefect.resource.id": "mailsluice.*", **labels}),
        for_each={"prefect.resource.id", "mailsluice.campaign"},
        threshold=1,
        within=_ONCE,
    )


def _automation(
    what: str, trigger: EventTrigger, block_id: UUID, subject: str, body: str
) -> Automation:
    return Automation(
        name=f"Mailsluice tells: {what}",
        description="Made by `python -m deployments.notifications`.",
        trigger=trigger,
        actions=[SendNotification(block_document_id=block_id, subject=subject, body=body)],
    )


async def install(block: str, crashed_for: timedelta = CRASHED_FOR) -> list[str]:
    """Create or update the automations that send through a block, and return their names.

    `block` is `type-slug/name`. A message about a crashed run is sent when the run has stayed
    crashed for `crashed_for`, at least 10 seconds. Raises NotificationError if there is no such
    block, or the block cannot send messages.
    """
    slug, _, name = block.partition("/")
    async with get_client() as client:
        try:
            found = await client.read_block_document_by_name(name, slug, include_secrets=False)
        except ObjectNotFound:
            found = None
        if found is None or not _can_notify(found):
            documents = await client.read_block_documents(include_secrets=False)
            raise NotificationError(_refusal(block, found, documents))
    return await put(notifications(found.id, crashed_for))


def _refusal(block: str, found: BlockDocument | None, documents: list[BlockDocument]) -> str:
    names = sorted(
        f"{document.block_type.slug}/{document.name}"
        for document in documents
        if document.block_type and _can_notify(document)
    )
    what = f"there is no block {block!r}" if found is None else f"{block!r} cannot send messages"
    known = f"these can: {', '.join(names)}" if names else "none can so far"
    return f"{what} ({known}): make one in the Prefect UI under Blocks, such as Slack Webhook"


def _can_notify(block: BlockDocument) -> bool:
    return block.block_schema is not None and _NOTIFY in block.block_schema.capabilities


def main() -> None:
    """Install the automations, and print their names."""
    parser = argparse.ArgumentParser(
        prog="python -m deployments.notifications", description="Tell people about campaigns."
    )
    parser.add_argument("block", help="the notification block: its type's slug and its name")
    try:
        names = asyncio.run(install(parser.parse_args().block))
    except NotificationError as error:
        raise SystemExit(str(error)) from None
    for name in names:
        print(f"automation: {name}")


if __name__ == "__main__":
    main()
