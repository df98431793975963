"""The plan of a campaign: connections, numbers, limits, times and warnings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from mailsluice.assignment.warming import WarmUpDay
from mailsluice.campaign.estimate import ASSUMED_PER_SESSION, HORIZON
from mailsluice.core.affinity_counts import AffinityCounts
from mailsluice.core.form_links import FormLink, form_section
from mailsluice.core.markdown import cell, section, table
from mailsluice.core.source_counts import SourceCounts
from mailsluice.core.suppression import held_back
from mailsluice.operations.identities import ConnectionIdentity, identity_section
from mailsluice.operations.plan.preview import Preview
from mailsluice.operations.plan.provider_plan import ProviderPlan, moment_text, provider_table
from mailsluice.operations.plan.zone_plan import ZonePlan
from mailsluice.operations.preview import MessagePreview
from mailsluice.reports.campaign.tables import sources as source_table
from mailsluice.reports.campaign.tables import warm_ups as warm_up_table

_UNITS = (
    ("days", timedelta(days=1)),
    ("hours", timedelta(hours=1)),
    ("minutes", timedelta(minutes=1)),
    ("seconds", timedelta(seconds=1)),
)


@dataclass(frozen=True, slots=True)
class ConnectionPlan:
    """The plan for one connection."""

    connection: str
    percent: Decimal | None
    assigned: int
    """Recipients by the connection's share."""
    count: int
    """Recipients that the connection sends to, after warm-ups moved some."""
    binding: str
    """The limit that decides the pace."""
    starts_at: datetime
    ends_at: datetime | None
    """An estimate; None when it is years away."""
    is_standby: bool = False
    """Whether the connection is used only when another one is down."""

    @property
    def lasts(self) -> str:
        """The duration in words."""
        if self.ends_at is None:
            return f"more than {HORIZON.days // 365} years"
        taken = self.ends_at - self.starts_at
        unit, length = next((unit for unit in _UNITS if taken >= unit[1]), _UNITS[-1])
        return f"{taken / length:.1f} {unit}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign as it would be launched at this moment, without addresses."""

    campaign: str
    read_rows: int
    accepted: int
    rejected: Mapping[str, int]
    """Rows that are not in the audience, by reason."""
    held_back: Mapping[str, int]
    """Suppressed rows by the reason of their suppression."""
    digest: str
    """The digest of the assignment; the launch shows the same."""
    connections: Sequence[ConnectionPlan]
    warm_ups: Sequence[str]
    """The effects of warm-ups, in sentences."""
    warnings: Sequence[str]
    providers: Sequence[ProviderPlan] = ()
    """By mailbox provider and connection."""
    warm_up_days: Sequence[WarmUpDay] = ()
    """Recipients by day on connections that warm up, and at mailbox providers with own caps."""
    identities: Sequence[ConnectionIdentity] = ()
    """Who the mail is from, by connection."""
    preview: Preview | None = None
    """The message for the first recipient."""
    messages: MessagePreview | None = field(default=None, repr=False)
    """The whole message for a few recipients."""
    look_ups: str = ""
    """How many domains were looked up; empty where none was."""
    sources: Sequence[SourceCounts] = ()
    """The rows of each source of the recipients, if there are several."""
    affinity: AffinityCounts | None = None
    """None for a campaign without affinity."""
    canary: str = ""
    """What goes first, and what the rest waits for; empty without a canary."""
    pooling: str = ""
    """Why the shares are computed ones; empty where recipients are assigned before."""
    failover: str = ""
    """Which connections take over recipients of one that is down; empty where none does."""
    lending: str = ""
    """Which connections may send to recipients of others, and to how many; empty where none may."""
    finish: str = ""
    """Until when the mail is spread, and at which pace; empty without a finish time."""
    zones: ZonePlan | None = None
    """The mail by time zone, where the sending window is in each recipient's own."""
    quotas: Sequence[str] = ()
    """The use of quotas by the calendar, in sentences."""
    processes: int = 1
    """How many processes of the run would send, on a machine like this one."""

    @property
    def ends_at(self) -> datetime | None:
        """When the last connection is done, as estimated; None when it is years away."""
        ends = [connection.ends_at for connection in self.connections]
        return None if None in ends else max(end for end in ends if end)

    def summary(self) -> str:
        """One line: the number of recipients and the end."""
        end = f"done about {moment_text(self.ends_at)}" if self.ends_at else "not done within years"
        number = len(self.warnings)
        warned = f"; {number} {'warning' if number == 1 else 'warnings'}" if number else ""
        return f"{self.accepted:,} of {self.read_rows:,} rows would be sent to, {end}{warned}"

    def markdown(
        self, links: Sequence[FormLink] = (), picture: str = "", preview_line: str = ""
    ) -> str:
        """The page for operators, with links to the next forms, without addresses.

        `picture` shows the course of the mail over time, if there is one. `preview_line` leads to
        the whole message for a few recipients.
        """
        lines = [f"# Plan: {cell(self.campaign)}", "", f"**{self.summary()}**", ""]
        lines += section("Warnings", [f"- {cell(warning)}" for warning in self.warnings])
        lines += [preview_line, ""] if preview_line else []
        lines += form_section(links)
        lines += table(
            ["connection", *self._parts, "sends to", "bound by", "done about", "takes"],
            [_row(connection) for connection in self.connections],
        )
        if self.processes > 1:
            lines += [f"{self.processes} processes of the run send at the same time.", ""]
        lines += [f"{self.finish}.", ""] if self.finish else []
        lines += [f"{cell(self.affinity.sentence())}.", ""] if self.affinity else []
        lines += [f"{self.canary}.", ""] if self.canary else []
        lines += [f"{self.pooling}.", ""] if self.pooling else []
        lines += [f"{cell(self.failover)}.", ""] if self.failover else []
        lines += [f"{cell(self.lending)}.", ""] if self.lending else []
        lines += self.zones.lines(picture) if self.zones else []
        lines += section("Quotas", [f"- {cell(quota)}" for quota in self.quotas])
        lines += section("Mailbox providers", provider_table(self.providers))
        lines += identity_section(self.identities) if self.identities else []
        said = [f"- {cell(warm_up)}" for warm_up in self.warm_ups]
        lines += section("Warm-up", [*said, "", *warm_up_table(self.warm_up_days)] if said else [])
        counts = (self.read_rows, self.accepted, *self.rejected.values())
        lines += ["## Audience", ""]
        lines += table(
            ["rows read", "accepted", *self.rejected],
            [[f"{number:,}" for number in counts]],
            words=0,
        )
        lines += source_table(self.sources)
        held = held_back(self.held_back)
        lines += [f"Suppressed {held}.", ""] if held else []
        lines += [f"{self.look_ups}.", ""] if self.look_ups else []
        lines += self.preview.markdown() if self.preview else []
        lines += [
            f"Assignment digest: `{self.digest}`",
            "",
            "No mail was sent, and no campaign was stored. Times are estimates in UTC. They"
            f" assume evenly spaced messages, {ASSUMED_PER_SESSION} a second and session where"
            " there is no limit, no deferrals, and no other campaign under the same limits.",
        ]
        return "\n".join(lines) + "\n"

    @property
    def _parts(self) -> tuple[str, str]:
        """The titles of each connection's share, and its recipients."""
        return ("computed share", "expected") if self.pooling else ("share", "assigned")


def _row(connection: ConnectionPlan) -> list[str]:
    return [
        cell(connection.connection),
        _share(connection),
        f"{connection.assigned:,}",
        f"{connection.count:,}",
        cell(connection.binding),
        *_end(connection),
    ]


def _end(connection: ConnectionPlan) -> tuple[str, str]:
    if connection.is_standby:
        return "", ""
    return moment_text(connection.ends_at) if connection.ends_at else "", connection.lasts


def _share(connection: ConnectionPlan) -> str:
    if connection.is_standby:
        return "standby, used only when another connection is down"
    if connection.percent is None:
        return ""
    percent = round(connection.percent, 2)
    return f"{connection.percent if percent == connection.percent else percent} %"
