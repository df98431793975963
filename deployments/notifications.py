"""`python -m deployments.notifications slack-webhook/ops`: be told what needs an operator.

Makes seven automations on the Prefect server, or brings them up to date, by their names. Each sends
a message through a notification block of Prefect, that of this type and name. Another one in a
second call takes its place.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from deployments import automations
from flows.events import Milestone
from mailsluice.errors import MailsluiceError

CRASHED_FOR = timedelta(minutes=2)
"""A crashed run that has not gone on for so long will not by itself."""
_ONCE = timedelta(seconds=10)
"""Without a window the server now and then acts twice on one event."""
_GOES_ON = (
    *("Scheduled", "AwaitingRetry", "Late", "Pending", "Running", "Paused", "Suspended"),
    *("Completed", "Failed", "TimedOut", "Cancelling", "Cancelled"),
)
"""All that a run may be after it has crashed."""

_OF_SEND_CAMPAIGN = {
    "match": ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
    "match_related": ResourceSpecification(
        {"prefect.resource.role": "flow", "prefect.resource.name": "send-campaign"}
    ),
    "for_each": {"prefect.resource.id"},
    "threshold": 1,
}

_MAKE_ONE = (
    "make one in the UI under Blocks: Slack Webhook, Microsoft Teams Webhook, Custom Webhook, ..."
)

_CAMPAIGN = "{{ event.payload.campaign }}"
_LINK = "{% if flow_run %}{{ flow_run|ui_url }}{% endif %}"
_RUN = "{{ flow_run.name }}"
_STATE = f"{{{{ flow_run.state.message }}}}\n{_LINK}"
_PAYLOAD = (
    "{% for name, value in event.payload|dictsort if name != 'campaign' and value is not none %}"
    "{{ name|replace('_', ' ') }}: {{ value }}\n"
    "{% endfor %}"
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A message and what it is sent for; subject and body are Jinja templates of Prefect's."""

    name: str
    trigger: EventTrigger
    subject: str
    body: str

    def through(self, block: UUID) -> Automation:
        """The automation that sends it through a notification block."""
        action = SendNotification(block_document_id=block, subject=self.subject, body=self.body)
        return Automation(
            name=f"Mailsluice tells: {self.name}",
            description="Made by `python -m deployments.notifications`.",
            trigger=self.trigger,
            actions=[action],
        )


def notices(crashed_for: timedelta = CRASHED_FOR) -> list[Notice]:
    """All that is told; a crash when the run has not gone on for so long (at least 10 seconds)."""
    return [
        Notice("completed", _run("Completed"), f"{_RUN}: completed", _STATE),
        Notice("failed", _run("Failed", "TimedOut"), f"{_RUN}: failed", _STATE),
        Notice(
            "crashed",
            _stays_crashed(crashed_for),
            f"{_RUN}: crashed",
            f"It does not go on by itself. Look at its logs, then retry it.\n{_STATE}",
        ),
        Notice(
            "connection quarantined",
            _event(Milestone.CONNECTION_QUARANTINED),
            "Connection {{ event.resource['prefect.resource.name'] }} is quarantined",
            f"Campaign {_CAMPAIGN}: it was given up for this run, and its recipients wait. Put the"
            f" connection in order, then retry the run.\n{_PAYLOAD}{_LINK}",
        ),
        _bounces("2", "Look at where the addresses come from."),
        _bounces("5", "Providers block senders for this: stop the campaign, clean the list."),
        Notice(
            "complaints above 0.1 %",
            _event(Milestone.COMPLAINTS_HIGH, "0.1"),
            f"{_CAMPAIGN}: complaints above 0.1 %",
            f"Recipients call it spam. Did they ask for it?\n{_PAYLOAD}{_LINK}",
        ),
    ]


def _bounces(threshold: str, advice: str) -> Notice:
    return Notice(
        f"bounces above {threshold} %",
        _event(Milestone.BOUNCES_HIGH, threshold),
        f"{_CAMPAIGN}: bounces above {threshold} %",
        f"{advice}\n{_PAYLOAD}{_LINK}",
    )


def _run(*states: str) -> EventTrigger:
    """A run of send-campaign gets into one of these states."""
    return EventTrigger(
        posture=Posture.Reactive,
        expect={f"prefect.flow-run.{state}" for state in states},
        within=_ONCE,
        **_OF_SEND_CAMPAIGN,
    )


def _stays_crashed(within: timedelta) -> EventTrigger:
    """Whatever it is that does not start it again: automations that are off, too many crashes."""
    return EventTrigger(
        posture=Posture.Proactive,
        after={"prefect.flow-run.Crashed"},
        expect={f"prefect.flow-run.{state}" for state in _GOES_ON},
        within=within,
        **_OF_SEND_CAMPAIGN,
    )


def _event(milestone: Milestone, threshold: str | None = None) -> EventTrigger:
    """A campaign tells this, about itself or about a connection."""
    label = {} if threshold is None else {"mailsluice.threshold": threshold}
    return EventTrigger(
        posture=Posture.Reactive,
        expect={milestone.value},
        match=ResourceSpecification({"prefect.resource.id": "mailsluice.*", **label}),
        for_each={"prefect.resource.id", "mailsluice.campaign"},
        threshold=1,
        within=_ONCE,
    )


class NotificationBlockError(MailsluiceError):
    """There is no such block to notify with."""


async def install(block: str, crashed_for: timedelta = CRASHED_FOR) -> list[str]:
    """Make the automations, or update those there are. Returns their names.

    `block` is "type/name", such as slack-webhook/ops. One that an operator has switched off stays
    off. Raises NotificationBlockError where there is no such block, or it cannot notify.
    """
    document = await _find(block)
    return await automations.put(one.through(document.id) for one in notices(crashed_for))


async def _find(block: str) -> BlockDocument:
    kind, _, name = block.partition("/")
    async with get_client() as client:
        try:
            found = await client.read_block_document_by_name(name, kind, include_secrets=False)
        except ObjectNotFound:
            problem = f"there is no block {block!r}"
        else:
            if _can_notify(found):
                return found
            problem = f"block {block!r} cannot notify"
        others = await client.read_block_documents(include_secrets=False)
    able = sorted(_address(one) for one in others if _can_notify(one))
    advice = f"those that can: {', '.join(able)}" if able else _MAKE_ONE
    raise NotificationBlockError(f"{problem}; {advice}")


def _address(block: BlockDocument) -> str:
    return f"{block.block_type.slug if block.block_type else ''}/{block.name}"


def _can_notify(block: BlockDocument) -> bool:
    return block.block_schema is not None and "notify" in block.block_schema.capabilities


def main() -> None:
    """Install them and say so."""
    parser = argparse.ArgumentParser(description="Tell operators what happens, through a block.")
    parser.add_argument("block", help="type/name of a notification block: slack-webhook/ops")
    block = parser.parse_args().block
    try:
        names = asyncio.run(install(block))
    except NotificationBlockError as error:
        raise SystemExit(str(error)) from None
    for name in names:
        print(f"automation: {name}")


if __name__ == "__main__":
    main()
