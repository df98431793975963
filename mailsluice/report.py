"""What happened to a campaign, as numbers and as a page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailsluice.markdown import cell, section, table
from mailsluice.status import OPEN, RecipientStatus
from mailsluice.suppression import held_back
from mailsluice.warm_up import WarmUpDay

_OUTCOMES = (
    RecipientStatus.SENT,
    RecipientStatus.DEFERRED,
    RecipientStatus.FAILED,
    RecipientStatus.UNCERTAIN,
    RecipientStatus.PENDING,
    RecipientStatus.SENDING,
    RecipientStatus.SUPPRESSED,
    RecipientStatus.CANCELLED,
)
_ALWAYS = _OUTCOMES[:3]


@dataclass(frozen=True, slots=True)
class RouteReport:
    """One connection's part."""

    connection: str
    planned: int
    """Recipients assigned to it at launch."""
    by_status: Mapping[RecipientStatus, int]
    """Where its recipients stand now."""
    seconds: float
    """How long this run sent over it."""
    sent_now: int
    """Messages accepted in this run."""
    down: str | None
    """Why it was given up in this run."""

    @property
    def per_second(self) -> float | None:
        """Messages a second in this run; None where there were none."""
        return self.sent_now / self.seconds if self.sent_now and self.seconds else None


@dataclass(frozen=True, slots=True)
class Report:
    """The whole campaign, after a run."""

    campaign: str
    read_rows: int
    accepted: int
    rejected: Mapping[str, int]
    """Rows that are not in the audience, by reason."""
    routes: Sequence[RouteReport]
    held_back: Mapping[str, int] = field(default_factory=dict)
    """How many of the suppressed rows for which reason."""
    suppressed_since: Mapping[str, int] = field(default_factory=dict)
    """Why recipients were suppressed after the launch."""
    digest: str | None = None
    """Of the assignment; `plan-campaign` shows the same."""
    warm_ups: Sequence[WarmUpDay] = ()
    """What was planned for connections that warm up."""

    def of(self, *statuses: RecipientStatus) -> int:
        """Recipients in one of these states."""
        return sum(route.by_status.get(one, 0) for route in self.routes for one in statuses)

    @property
    def open(self) -> int:
        """Recipients that still wait for their mail."""
        return self.of(*OPEN)

    @property
    def sent_now(self) -> int:
        """Messages accepted in this run."""
        return sum(route.sent_now for route in self.routes)

    @property
    def down(self) -> dict[str, str]:
        """Connections that were given up in this run, and why."""
        return {route.connection: route.down for route in self.routes if route.down}

    def summary(self) -> str:
        """One line: how many are in which state."""
        sent = f"{self.of(RecipientStatus.SENT):,} of {self.accepted:,} sent"
        others = (f"{self.of(one):,} {one.value}" for one in _OUTCOMES[1:] if self.of(one))
        return ", ".join([sent, *others])

    def markdown(self) -> str:
        """The page an operator reads: tables only, no addresses."""
        head = ["connection", "assigned", "share", *(one.value for one in self._shown()), "rate/s"]
        rows = [self._row(route) for route in self.routes]
        rows.append(self._total())
        lines = [f"# {cell(self.campaign)}", "", f"**{self.summary()}**", ""]
        lines += table(head, rows)
        counts = (self.read_rows, self.accepted, *self.rejected.values())
        lines += ["## Audience", ""]
        lines += table(
            ["rows read", "accepted", *self.rejected], [[f"{n:,}" for n in counts]], words=0
        )
        for when, why in (("", self.held_back), (" since the launch", self.suppressed_since)):
            held = held_back(why)
            lines += [f"Suppressed{when} {held}.", ""] if held else []
        if self.warm_ups:
            lines += ["## Warm-up", ""]
            lines += table(
                ["connection", "day", "planned", "cap", "held back"],
                [_warm_up(one) for one in self.warm_ups],
                words=2,
            )
        if self.digest:
            lines += [f"Assignment digest: `{self.digest}`", ""]
        lines += section(
            "Connections that are down",
            [f"- **{cell(name)}**: {cell(why)}" for name, why in self.down.items()],
        )
        if self.open:
            lines += [f"{self.open:,} recipients still wait: retry this run to go on.", ""]
        return "\n".join(lines)

    def _shown(self) -> list[RecipientStatus]:
        """The states worth a column: the usual ones, and those somebody is in."""
        return [one for one in _OUTCOMES if one in _ALWAYS or self.of(one)]

    def _row(self, route: RouteReport) -> list[str]:
        share = f"{route.planned / self.accepted:.2%}" if self.accepted else ""
        rate = f"{route.per_second:,.1f}" if route.per_second else ""
        states = [f"{route.by_status.get(one, 0):,}" for one in self._shown()]
        return [cell(route.connection), f"{route.planned:,}", share, *states, rate]

    def _total(self) -> list[str]:
        planned = sum(route.planned for route in self.routes)
        return ["**all**", f"{planned:,}", "", *(f"{self.of(one):,}" for one in self._shown()), ""]


def _warm_up(one: WarmUpDay) -> list[str]:
    cap = "none" if one.cap is None else f"{one.cap:,}"
    held_back = f"{one.held_back_days} days" if one.held_back_days else ""
    return [cell(one.connection), str(one.day), f"{one.planned:,}", cap, held_back]
