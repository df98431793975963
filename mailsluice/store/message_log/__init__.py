"""The facts that message logs read from the state database, and how far each log has come."""

from mailsluice.store.message_log.event_rows import LoggedEvent, read_events
from mailsluice.store.message_log.logs import (
    Cursors,
    EventPlace,
    LogState,
    MessageLogs,
    RowPlace,
)
from mailsluice.store.message_log.outcomes import LoggedOutcome, Outcomes
from mailsluice.store.message_log.sent_to import LoggedCampaign, LoggedCampaigns, LoggedRecipient
from mailsluice.store.message_log.serial_rows import (
    LoggedAttempt,
    LoggedReport,
    read_attempts,
    read_reports,
)
from mailsluice.store.message_log.spans import SPAN_IDS, Span, Spans
from mailsluice.store.message_log.visible import VisibleBound, event_bound, serial_bound

__all__ = [
    "SPAN_IDS",
    "Cursors",
    "EventPlace",
    "LogState",
    "LoggedAttempt",
    "LoggedCampaign",
    "LoggedCampaigns",
    "LoggedEvent",
    "LoggedOutcome",
    "LoggedRecipient",
    "LoggedReport",
    "MessageLogs",
    "Outcomes",
    "RowPlace",
    "Span",
    "Spans",
    "VisibleBound",
    "event_bound",
    "read_attempts",
    "read_events",
    "read_reports",
    "serial_bound",
]
