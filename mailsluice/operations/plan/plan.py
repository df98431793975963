"""The plan of a campaign: connections, numbers, limits, times and warnings. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from mailsluice.campaign.estimate import HORIZON
from mailsluice.core.form_links import FormLink, form_section
from mailsluice.core.markdown import cell, section, table
from mailsluice.core.suppression import held_back
from mailsluice.operations.plan.preview import Preview

ASSUMED_PER_SESSION = 10
"""Messages a second and session, where there is no limit."""
_UNITS = (
    ("days", timedelta(days=1)),
    ("hours", timedelta(hours=1)),
    ("minutes", timedelta(minutes=1)),
    ("seconds", timedelta(seconds=1)),
)


@dataclass(frozen=True, slots=True)
class ConnectionPlan:
    """One connection's part."""

    connection: str
    percent: Decimal | None
    assigned: int
    """Recipients that are its share."""
    count: int
    """Recipients that it sends to: without those that go elsewhere, with those it takes over."""
    binding: str
    """What it waits for most."""
    starts_at: datetime
    ends_at: datetime | None
    """Estimated; None: years from now."""

    @property
    def lasts(self) -> str:
        """How long it takes, in words."""
        if self.ends_at is None:
            return f"more than {HORIZON.days // 365} years"
        taken = self.ends_at - self.starts_at
        unit, length = next((unit for unit in _UNITS if taken >= unit[1]), _UNITS[-1])
        return f"{taken / length:.1f} {unit}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign as it would be launched at this moment. No addresses."""

    campaign: str
    read_rows: int
    accepted: int
    rejected: Mapping[str, int]
    """Rows that are not in the audience, by reason."""
    held_back: Mapping[str, int]
    """How many of the suppressed ones for which reason."""
    digest: str
    """Of the assignment: the launch shows the same."""
    connections: Sequence[ConnectionPlan]
    warm_ups: Sequence[str]
    """What the warm-ups do, in sentences."""
    warnings: Sequence[str]
    preview: Preview | None = None
    """The message as its first recipient would read it."""

    @property
    def ends_at(self) -> datetime | None:
        """When the last connection is done, estimated; None: years from now."""
        ends = [connection.ends_at for connection in self.connections]
        return None if None in ends else max(end for end in ends if end)

    def summary(self) -> str:
        """One line: how many, until when."""
        end = f"done about {moment_text(self.ends_at)}" if self.ends_at else "not done within years"
        number = len(self.warnings)
        told = f"; {number} {'warning' if number == 1 else 'warnings'}" if number else ""
        return f"{self.accepted:,} of {self.read_rows:,} rows would be sent to, {end}{told}"

    def markdown(self, links: Sequence[FormLink] = ()) -> str:
        """The page an operator reads, with links to the forms that come next: no addresses."""
        lines = [f"# Plan: {cell(self.campaign)}", "", f"**{self.summary()}**", ""]
        lines += section("Warnings", [f"- {cell(warning)}" for warning in self.warnings])
        lines += form_section(links)
        lines += table(
            ["connection", "share", "assigned", "sends to", "bound by", "done about", "takes"],
            [_row(connection) for connection in self.connections],
        )
        lines += section("Warm-up", [f"- {cell(warm_up)}" for warm_up in self.warm_ups])
        counts = (self.read_rows, self.accepted, *self.rejected.values())
        lines += ["## Audience", ""]
        lines += table(
            ["rows read", "accepted", *self.rejected],
            [[f"{number:,}" for number in counts]],
            words=0,
        )
        held = held_back(self.held_back)
        lines += [f"Suppressed {held}.", ""] if held else []
        lines += self.preview.markdown() if self.preview else []
        lines += [
            f"Assignment digest: `{self.digest}`",
            "",
            "Nothing was sent and nothing stored. Times are estimates, in UTC: messages evenly"
            f" spaced, {ASSUMED_PER_SESSION} a second and session where there is no limit,"
            " nothing deferred, no other campaign under the same limits.",
        ]
        return "\n".join(lines) + "\n"


def _row(connection: ConnectionPlan) -> list[str]:
    return [
        cell(connection.connection),
        "" if connection.percent is None else f"{connection.percent} %",
        f"{connection.assigned:,}",
        f"{connection.count:,}",
        cell(connection.binding),
        moment_text(connection.ends_at) if connection.ends_at else "",
        connection.lasts,
    ]


def moment_text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
