"""Prefect events about a campaign: counts and names, never addresses."""

from __future__ import annotations

from enum import StrEnum

from prefect.events import emit_event


class Milestone(StrEnum):
    """The names of the events, for automations and for the event feed."""

    CAMPAIGN_STARTED = "mailsluice.campaign.started"
    CAMPAIGN_COMPLETED = "mailsluice.campaign.completed"
    CONNECTION_QUARANTINED = "mailsluice.connection.quarantined"
    """The connection is down for this run; its recipients wait."""
    CONNECTION_RECOVERED = "mailsluice.connection.recovered"
    """The connection sends again after it was quarantined."""
    LIMIT_REACHED = "mailsluice.limit.reached"
    """A limit delays a connection by more than a minute."""
    BOUNCES_HIGH = "mailsluice.bounces.high"
    """The share of a campaign's mail that bounced exceeds a threshold, a percentage."""
    COMPLAINTS_HIGH = "mailsluice.complaints.high"
    HANDED_OVER = "mailsluice.connection.handed_over"
    """The connection is down or rests, and others take its recipients over."""
    FINISH_LATE = "mailsluice.finish.late"
    """The campaign will not be finished by its finish time."""
    PLACEMENT_LOW = "mailsluice.placement.low"
    """A seed test has less mail in the inbox over a connection than it asks for, for the first time
    since a test that had enough."""
    HELD = "mailsluice.campaign.held"
    """A provider on a connection, or a connection, is held until an operator decides."""


def emit(
    milestone: Milestone,
    campaign: str,
    connection: str | None = None,
    *,
    threshold: str | None = None,
    **payload: str | float | None,
) -> None:
    """Emit an event about the connection, where one is named, else about the campaign.

    `threshold` is a label of the resource, so that an automation can match it. Prefect relates the
    event to the current run. The call does not wait for the server.
    """
    kind, name = ("campaign", campaign) if connection is None else ("connection", connection)
    resource = {
        "prefect.resource.id": f"mailsluice.{kind}.{name}",
        "prefect.resource.name": name,
        "mailsluice.campaign": campaign,
    }
    if threshold is not None:
        resource["mailsluice.threshold"] = threshold
    emit_event(str(milestone), resource, payload={"campaign": campaign, **payload})
