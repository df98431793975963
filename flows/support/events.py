"""What a campaign tells the world: Prefect events, with counts, never addresses."""

from __future__ import annotations

from enum import StrEnum

from prefect.events import emit_event


class Milestone(StrEnum):
    """The names of the events, for automations and for the event feed."""

    CAMPAIGN_STARTED = "mailsluice.campaign.started"
    CAMPAIGN_COMPLETED = "mailsluice.campaign.completed"
    CONNECTION_QUARANTINED = "mailsluice.connection.quarantined"
    """It was given up for this run; its recipients wait."""
    CONNECTION_RECOVERED = "mailsluice.connection.recovered"
    """It sends again, after it had been quarantined."""
    LIMIT_REACHED = "mailsluice.limit.reached"
    """A limit holds a connection back for more than a moment."""
    BOUNCES_HIGH = "mailsluice.bounces.high"
    """More of a campaign's mail bounced than the threshold, a percentage, allows."""
    COMPLAINTS_HIGH = "mailsluice.complaints.high"


def tell(
    milestone: Milestone,
    campaign: str,
    connection: str | None = None,
    *,
    threshold: str | None = None,
    **payload: str | float | None,
) -> None:
    """Emit an event. It is about the connection, where one is named, else about the campaign.

    `threshold` is a label of the resource, so that an automation can ask for it. Within a run the
    event is related to the run by Prefect. Does not wait for the server.
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
