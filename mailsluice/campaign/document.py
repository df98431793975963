"""The campaign document: one frozen model, checked as a whole before anything is read or written.

The same document comes from Python, YAML, JSON or the Prefect form. The form's model is a subclass
that only changes how a connection or a database is picked.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from mailsluice.campaign.affinity import DEFAULT_GROUP, Affinity
from mailsluice.campaign.combinations import refuse_combinations
from mailsluice.campaign.content import content_of
from mailsluice.campaign.finish import FinishTime, finish_moment
from mailsluice.campaign.identity import SenderIdentity
from mailsluice.campaign.message import Message
from mailsluice.campaign.policies import (
    Dispatch,
    DownPolicy,
    Resolve,
    RouteLending,
    Strategy,
    UncertainPolicy,
)
from mailsluice.campaign.retry import Retry
from mailsluice.campaign.routes import Percent, Route, percents_on
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.source import RecipientSource, Sources, listed
from mailsluice.campaign.stop_loss import Canary, StopLoss
from mailsluice.campaign.throttle import ProviderThrottles, Throttle
from mailsluice.core.forms import Document
from mailsluice.core.names import DAY, campaign_name

SpreadHours = Annotated[
    Decimal,
    Field(ge=Decimal("0.001"), le=8_784, max_digits=9, decimal_places=5),
    WithJsonSchema({"type": "number", "minimum": 0.001, "maximum": 8_784}),
]
AUTO = "auto"
"""As many processes as the machine has cores, and the campaign has recipients for."""
_MOST_PROCESSES = 64


def _process_number(value: object) -> int | str:
    """Read a number of processes, which is text in a form."""
    if value == AUTO:
        return AUTO
    for number in range(1, _MOST_PROCESSES + 1):
        if value == str(number) or (value == number and type(value) is int):
            return number
    raise ValueError(f"write a number from 1 to {_MOST_PROCESSES}, or {AUTO}")


class Campaign(Document):
    """A campaign: recipients, message, connections and their shares, throttles."""

    name: Annotated[
        str, StringConstraints(strip_whitespace=False), AfterValidator(campaign_name)
    ] = Field(
        description="The campaign's identity: a run with the same name continues where the last"
        " one stopped. {date} stands for the run's scheduled date, for a new campaign each week.",
    )
    recipients: Sources = Field(
        description="The people who get the mail: a file, the URL of a list or a query, or"
        " several of them. Of the rows with the same e-mail address, the first one counts.",
    )
    message: Message = Field(description="The mail that they get.")
    order_by: str | None = Field(
        None,
        max_length=1_000,
        description="A column of the recipients with numbers or ISO dates, such as a score or the"
        " date of the last click: each connection sends in this order, and a warm-up's first days"
        " take the first recipients. Left empty: in a mixed order.",
    )
    order_descending: bool = Field(
        True,
        title="Highest first",
        description="With order_by: whether the highest number or latest date comes first.",
    )
    strategy: Strategy = Field(
        Strategy.SINGLE, description="How recipients are shared out to the connections."
    )
    routes: tuple[Route, ...] = Field(
        min_length=1, max_length=100, description="The connections, in order."
    )
    batch_size: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="Recipients in a batch, for the strategy 'round_robin'.",
    )
    affinity: Affinity = Field(
        Affinity.OFF,
        description="Whether an address keeps the connection that earlier campaigns of the group"
        " sent to it over. For the strategies 'percentage' and 'round_robin': shares stay exact,"
        " and as few recipients as possible get another connection.",
    )
    affinity_group: str = Field(
        DEFAULT_GROUP,
        max_length=100,
        description="With affinity: the campaigns of the same group remember together.",
    )
    throttle: Throttle = Field(
        Throttle(),
        description="Limits of the whole campaign; each connection gets its share of them.",
    )
    resolve: Resolve = Field(
        Resolve.OFF,
        title="Look up mail servers",
        description="How mailboxes are grouped by who hosts them (`resolve`). 'off' knows consumer"
        " domains such as gmail.com. 'mx' looks the mail servers of all other domains up at the"
        " launch, and rejects recipients whose domain takes no mail.",
    )
    per_provider: ProviderThrottles = Field(
        (),
        title="Limits by mailbox provider",
        description="Limits of the campaign's mail to single mailbox providers, over all"
        " connections together. A provider that is held does not delay the mail to others.",
    )
    sending_window: SendingWindow = Field(
        SendingWindow(), description="The days and hours in which mail is sent."
    )
    finish_by: FinishTime = Field(
        None,
        title="Finish by",
        description="When the last mail is to be sent: the mail is spread evenly until then. A day"
        " and a time, such as 2026-12-01 12:00, in the time zone of the sending window; with its"
        " UTC offset, such as 2026-12-01T12:00+01:00; or a time on the day of the run, such as"
        " 12:00. Left empty: as fast as the limits allow.",
    )
    spread_over: SpreadHours | None = Field(
        None,
        title="Spread over hours",
        description="Instead of a time to finish by: over how many hours the mail is spread evenly,"
        " from the first moment at which it may be sent. Hours outside the sending window count.",
    )
    exclude: Sources = Field(
        RecipientSource(),
        description="Addresses that do not get the mail, even if they are among the recipients: a"
        " file, the URL of a list or a query, or several of them.",
    )
    retry: Retry = Field(Retry(), description="What happens after 'try again later' (4xx).")
    uncertain: UncertainPolicy = Field(
        UncertainPolicy.HOLD,
        title="Recipients in doubt",
        description="What happens to recipients who, after a crash, may or may not have got the"
        " mail: 'hold' waits for your decision, 'resend' sends again, 'assume_sent' counts them as"
        " sent.",
    )
    on_connection_down: DownPolicy = Field(
        DownPolicy.HOLD,
        title="When a connection is down",
        description="What happens to its recipients that were not tried yet: 'hold' keeps them for"
        " a retry of the run; 'reassign' gives them to standbys, or else to the other connections.",
    )
    reassign_after_minutes: int | None = Field(
        None,
        ge=0,
        le=10_080,
        title="Reassign after minutes",
        description="With 'reassign': recipients also move when a connection has rested after"
        " failures for so long; 0: as soon as it rests. Left empty: only when it is given up.",
    )
    lend: bool = Field(
        False,
        title="Lend room",
        description="Whether connections that have room send to recipients of others that would end"
        " later. The report says how many; shares are then not exact.",
    )
    max_shift_percent: Percent = Field(
        Decimal(10),
        title="Lend at most percent",
        description="With lend: how much of a connection's recipients others may send to.",
        json_schema_extra={"default": 10},
    )
    canary: Canary = Field(
        Canary(),
        description="A small part that is sent first, and judged by the limits of the stop-loss"
        " before the rest follows.",
    )
    stop_loss: StopLoss = Field(
        StopLoss(),
        title="Stop-loss",
        description="Limits at which a mailbox provider on a connection, or a connection, stops.",
    )
    dispatch: Dispatch = Field(
        Dispatch.INLINE,
        title="Sent from",
        description="Where mail is sent from: this run's own process, or Prefect's workers.",
    )
    processes: Annotated[
        int | str,
        PlainValidator(_process_number),
        WithJsonSchema({"type": "string", "maxLength": 4}),
    ] = Field(
        1,
        title="Processes",
        json_schema_extra={"default": "1"},
        description="With 'inline': how many processes of this machine send, for rates that one"
        " processor core cannot reach. 'auto' is one for each core, for large campaigns.",
    )
    sessions_per_worker: int = Field(
        20,
        ge=1,
        le=1_000,
        title="Sessions per worker",
        description="With 'workers': several workers share a connection that has more sessions than"
        " this.",
    )

    @field_validator("resolve", "affinity", mode="before")
    @classmethod
    def _off_in_yaml(cls, value: object) -> object:
        return "off" if value is False else value  # YAML reads a bare off as false

    @field_validator("order_by", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("affinity_group")
    @classmethod
    def _group_named(cls, value: str) -> str:
        return value or DEFAULT_GROUP

    @field_validator("recipients")
    @classmethod
    def _recipients_given(cls, value: Sources) -> Sources:
        if not listed(value):
            raise ValueError(
                "no recipients: give a file (path), a URL (url), or a query with its database"
            )
        return value

    @field_validator("routes")
    @classmethod
    def _distinct(cls, routes: tuple[Route, ...]) -> tuple[Route, ...]:
        seen: set[str] = set()
        for route in routes:
            if route.connection in seen:
                raise ValueError(
                    f"connection {route.connection!r} is listed twice: merge the two routes"
                )
            seen.add(route.connection)
        return routes

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        refuse_combinations(self)
        return self

    @property
    def sharing(self) -> tuple[Route, ...]:
        """The routes that recipients are assigned to, in order."""
        return tuple(route for route in self.routes if not route.standby)

    @property
    def standbys(self) -> tuple[str, ...]:
        """The connections that only take over, in order."""
        return tuple(route.connection for route in self.routes if route.standby)

    @property
    def is_paced(self) -> bool:
        """Whether the mail is spread evenly until a finish time."""
        return self.finish_by is not None or self.spread_over is not None

    def on_day(self, day: date) -> Self:
        """Return the document of a run on a day: with its date in the name, and a full `finish_by`.

        Raises ValueError where the name is too long with the date.
        """
        finish_by = self.finish_by
        if finish_by is not None:
            finish_by = finish_moment(finish_by, day, self.sending_window).isoformat()
        name = campaign_name(self.name.replace(DAY, day.isoformat()))
        return self.model_copy(update={"name": name, "finish_by": finish_by})

    def finish_at(self, since: datetime) -> datetime | None:
        """Return when a campaign is to be finished whose mail may go since an aware moment."""
        if self.spread_over is not None:
            return since + timedelta(hours=float(self.spread_over))
        if self.finish_by is None:
            return None
        zone = ZoneInfo(self.sending_window.timezone or "UTC")
        return finish_moment(self.finish_by, since.astimezone(zone).date(), self.sending_window)

    @property
    def has_affinity(self) -> bool:
        """Whether recipients keep the connection of earlier campaigns."""
        return self.affinity is not Affinity.OFF

    @property
    def recipient_sources(self) -> tuple[RecipientSource, ...]:
        """The sources of the recipients, in the order in which they are read."""
        return listed(self.recipients)

    @property
    def excluded_sources(self) -> tuple[RecipientSource, ...]:
        """The sources of the excluded addresses."""
        return listed(self.exclude)

    @property
    def databases(self) -> set[str]:
        """The names of the databases that the queries of the sources read."""
        sources = (*self.recipient_sources, *self.excluded_sources)
        return {source.database for source in sources if source.database}

    @property
    def storages(self) -> set[str]:
        """The names of the storages of the sources."""
        sources = (*self.recipient_sources, *self.excluded_sources)
        return {source.storage for source in sources if source.storage}

    def percents(self, day: date) -> list[Decimal] | None:
        """Return the percentage of each route that shares, on a day; together 100.

        None with other strategies.
        """
        is_percentage = self.strategy is Strategy.PERCENTAGE
        return percents_on(self.sharing, day) if is_percentage else None

    def shares(self, day: date) -> dict[str, Decimal]:
        """Return each connection's share on a day, as a fraction; together 1 (within 28 digits)."""
        percents = self.percents(day) or [Decimal(100) / len(self.sharing)] * len(self.sharing)
        parts = zip(self.sharing, percents, strict=True)
        return {route.connection: percent / 100 for route, percent in parts}

    @property
    def lenders(self) -> list[str]:
        """The connections that may send to recipients of others when they have room."""
        return [
            route.connection
            for route in self.sharing
            if route.lend is RouteLending.YES or (self.lend and route.lend is RouteLending.CAMPAIGN)
        ]

    @property
    def may_hand_over(self) -> bool:
        """Whether recipients may move to other connections while these send."""
        if self.strategy is Strategy.THROUGHPUT:
            return False  # nobody has a connection before it claims
        return self.on_connection_down is DownPolicy.REASSIGN or bool(self.lenders)

    def identities(self, own: Mapping[str, SenderIdentity]) -> dict[str, SenderIdentity]:
        """Return the identity on each connection: the route's, over the connection's own.

        `own` are the identities of the connections, also of those without a route.
        """
        none = SenderIdentity()
        routes = {route.connection: route.identity for route in self.routes}
        names = dict.fromkeys([*routes, *own])
        return {name: routes.get(name, none).over(own.get(name, none)) for name in names}

    def content(self) -> dict[str, Any]:
        """Return the part of the document that may not change between runs; see `content_of`."""
        return content_of(self)
