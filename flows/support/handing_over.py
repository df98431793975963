"""Tell an operator that other connections take over the recipients of one that is down."""

from __future__ import annotations

from prefect import get_run_logger

from flows.support.events import Milestone, emit
from mailsluice.core.moves import Handover


def handed_over(campaign: str, handover: Handover) -> None:
    """Log that recipients go to other connections, and emit an event."""
    get_run_logger().warning(handover.sentence())
    emit(
        Milestone.HANDED_OVER,
        campaign,
        handover.origin,
        reason=handover.why,
        recipients=handover.recipients,
        to=", ".join(handover.moved),
    )
