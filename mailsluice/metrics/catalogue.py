"""All metrics: their names, kinds, labels and meanings. Pure.

Label values are bounded: connections are blocks, mailbox providers are those that have a rule, or
OTHER, and a campaign is named only while its run lives.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

OTHER = "other"
"""The mailbox provider of recipients whose provider has no rule, or is not known."""
_LAGS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 4 * 3_600.0, 86_400.0)
_DELIVERIES = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 4 * 3_600.0, 86_400.0, 3 * 86_400.0)


class Kind(StrEnum):
    """The kind of a metric's values."""

    COUNTER = "counter"
    """Grows, over all processes of a machine that ever wrote it."""
    GAUGE = "gauge"
    """The present value; disappears with the process that wrote it."""
    HISTOGRAM = "histogram"
    """Counts of observations by size, which grow as counters do."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric: its name in expressions, and the names of its labels."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets, without infinity."""

    @property
    def size(self) -> int:
        """How many numbers a value has: a histogram's buckets, that beyond the bounds, the sum."""
        return len(self.bounds) + 2 if self.kind is Kind.HISTOGRAM else 1

    @property
    def sample_names(self) -> tuple[str, ...]:
        """The names that expressions may use."""
        if self.kind is Kind.HISTOGRAM:
            return tuple(f"{self.name}_{part}" for part in ("bucket", "count", "sum"))
        return (self.name,)


_RUN = ("campaign", "connection")

MESSAGES = Metric(
    "mailsluice_messages_total",
    Kind.COUNTER,
    "Replies to messages, by the outcome: accepted, refused for good, or deferred.",
    ("connection", "mailbox_provider", "outcome"),
)
BLOCKED = Metric(
    "mailsluice_blocked_replies_total",
    Kind.COUNTER,
    "Replies to messages that blame the sender's reputation.",
    ("connection", "mailbox_provider"),
)
SETTLED = Metric(
    "mailsluice_recipients_settled_total",
    Kind.COUNTER,
    "Recipients that are sent, failed or uncertain after a run, by the status.",
    ("connection", "status"),
)
QUARANTINES = Metric(
    "mailsluice_quarantines_total",
    Kind.COUNTER,
    "Runs that gave a connection up; its recipients wait, or go to other connections.",
    ("connection",),
)
WAITING = Metric(
    "mailsluice_recipients_waiting",
    Kind.GAUGE,
    "Recipients of a campaign that is being sent that still wait; without a connection: those that"
    " no connection has claimed from the pool.",
    _RUN,
)
PACE = Metric(
    "mailsluice_pace_messages_per_second",
    Kind.GAUGE,
    "Messages accepted a second over the last minute.",
    _RUN,
)
LIMIT = Metric(
    "mailsluice_limit_messages_per_second",
    Kind.GAUGE,
    "The messages a second that the tightest limit of a trailing window allows in the long run,"
    " of the connection's limits and its share of the campaign's.",
    _RUN,
)
BINDING = Metric(
    "mailsluice_binding",
    Kind.GAUGE,
    "1 for what a connection waits for now, such as limit, window, resting or quarantined; free if"
    " it sends as fast as it can.",
    (*_RUN, "cause"),
)
SESSIONS = Metric(
    "mailsluice_sessions", Kind.GAUGE, "SMTP sessions that are logged in, over all senders.", _RUN
)
IN_FLIGHT = Metric(
    "mailsluice_messages_in_flight",
    Kind.GAUGE,
    "Messages that have been started and have no reply yet, over all senders.",
    _RUN,
)
UPDATED = Metric(
    "mailsluice_run_updated_timestamp_seconds",
    Kind.GAUGE,
    "When the run of a campaign last wrote its metrics.",
    ("campaign",),
)
FINISH_BY = Metric(
    "mailsluice_finish_by_timestamp_seconds",
    Kind.GAUGE,
    "When a campaign with a finish time is to be finished.",
    ("campaign",),
)
FINISH_EXPECTED = Metric(
    "mailsluice_finish_expected_timestamp_seconds",
    Kind.GAUGE,
    "When a campaign with a finish time is expected to be finished; absent: not within years.",
    ("campaign",),
)
EVENTS = Metric(
    "mailsluice_events_total",
    Kind.COUNTER,
    "New events of providers about known messages, by the state that they report.",
    ("connection", "state"),
)
UNMATCHED = Metric(
    "mailsluice_events_unmatched_total",
    Kind.COUNTER,
    "New events of providers that are about no known message.",
    ("connection",),
)
EVENT_LAG = Metric(
    "mailsluice_event_lag_seconds",
    Kind.HISTOGRAM,
    "From the moment of an event, by the provider's clock, until it was recorded.",
    ("connection",),
    _LAGS,
)
DELIVERY = Metric(
    "mailsluice_time_to_delivery_seconds",
    Kind.HISTOGRAM,
    "From the 250 of the connection's server until the event that the message was delivered.",
    ("connection", "mailbox_provider"),
    _DELIVERIES,
)
CAMPAIGNS = Metric(
    "mailsluice_campaigns", Kind.GAUGE, "Campaigns in the state database.", ("status",)
)
OLDEST = Metric(
    "mailsluice_oldest_open_campaign_timestamp_seconds",
    Kind.GAUGE,
    "When the oldest campaign that is neither completed nor cancelled was launched.",
    ("connection",),
)
FETCHED = Metric(
    "mailsluice_events_fetched_until_timestamp_seconds",
    Kind.GAUGE,
    "Until when the events of a connection have been fetched from its provider's API.",
    ("connection",),
)
HOLDS = Metric(
    "mailsluice_holds",
    Kind.GAUGE,
    "Parts of open campaigns that wait for an operator's decision, after a stop-loss or a canary.",
    ("connection",),
)
SUPPRESSIONS = Metric(
    "mailsluice_suppressions", Kind.GAUGE, "Addresses on the suppression list.", ("reason",)
)
DATABASE_UP = Metric(
    "mailsluice_database_up", Kind.GAUGE, "1 if the state database answers, 0 if it does not."
)
BUILD = Metric(
    "mailsluice_build_info", Kind.GAUGE, "1, with Mailsluice's version as a label.", ("version",)
)

CATALOGUE = {
    metric.name: metric
    for metric in (
        MESSAGES,
        BLOCKED,
        SETTLED,
        QUARANTINES,
        WAITING,
        PACE,
        LIMIT,
        BINDING,
        SESSIONS,
        IN_FLIGHT,
        UPDATED,
        FINISH_BY,
        FINISH_EXPECTED,
        EVENTS,
        UNMATCHED,
        EVENT_LAG,
        DELIVERY,
        CAMPAIGNS,
        OLDEST,
        FETCHED,
        HOLDS,
        SUPPRESSIONS,
        DATABASE_UP,
        BUILD,
    )
}
"""Every metric, by its name."""
