"""The list of campaigns, and its page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from mailsluice.core.markdown import cell, table
from mailsluice.core.status import CampaignStatus

COLUMNS = (
    "campaign", "state", "planned", "accepted", "delivered", "bounced", "complained", "pace", "end",
)  # fmt: skip
"""The columns of the list, on the page and in the command."""
UNKNOWN = "-"


class State(StrEnum):
    """The state of a campaign now."""

    RESOLVING = "resolving"
    """A run reads the audience."""
    SENDING = "sending"
    INTERRUPTED = "interrupted"
    """The run that launched or sent the campaign has died."""
    HELD = "held"
    """A part of the campaign waits for an operator's decision."""
    WAITING = "waiting"
    """No run sends the campaign now, and recipients wait."""
    COMPLETED = "completed"
    CANCELLED = "cancelled"


def state_of(status: CampaignStatus, *, is_run: bool, is_held: bool) -> State:
    """The state of a campaign.

    Args:
        status: The stored status.
        is_run: Whether a run holds the campaign's lease.
        is_held: Whether a part waits for a decision.
    """
    if status in (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED):
        return State(status.value)
    if status is CampaignStatus.READY:
        return State.HELD if is_held else State.WAITING
    return State(status.value) if is_run else State.INTERRUPTED


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """One campaign. Numbers that nobody has counted are None."""

    name: str
    state: State
    planned: int
    """Recipients at the launch."""
    accepted: int | None
    """Messages that servers have accepted."""
    delivered: int | None
    """Accepted messages whose delivery was reported; None where nothing reports deliveries."""
    bounced: int | None
    """Accepted messages that came back."""
    complained: int | None
    """Recipients who reported the mail as spam."""
    per_second: float | None
    """Messages accepted per second: lately while the campaign is sent, else in its last run."""
    ended_at: float | None
    """When the campaign ended, in seconds since the epoch."""
    expected_end: float | None
    """When it will end at this pace, in seconds since the epoch, while it is sent."""
    run_id: str | None = None
    """The id of the last flow run that sent the campaign."""
    is_reported: bool = False
    """Whether the campaign's report has been published."""

    def cells(self) -> list[str]:
        """The texts of `COLUMNS`."""
        numbers = (self.planned, self.accepted, self.delivered, self.bounced, self.complained)
        return [
            self.name,
            self.state.value,
            *(UNKNOWN if number is None else f"{number:,}" for number in numbers),
            pace(self.per_second),
            self._end(),
        ]

    def _end(self) -> str:
        if self.ended_at is not None:
            return _moment(self.ended_at)
        return UNKNOWN if self.expected_end is None else f"about {_moment(self.expected_end)}"


def pace(per_second: float | None) -> str:
    """Write a pace in the unit in which it is a readable number."""
    if not per_second:
        return UNKNOWN
    for unit, seconds in (("s", 1), ("min", 60), ("h", 3_600)):
        if per_second * seconds >= 10 or unit == "h":
            break
    return f"{per_second * seconds:,.0f}/{unit}" if per_second * seconds >= 0.5 else f"<1/{unit}"


def _moment(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True)
class Overview:
    """The latest campaigns, and all others that have not ended, as far as there is room."""

    rows: Sequence[CampaignRow]
    """The latest first."""
    others: int
    """Campaigns that are not listed."""
    as_of: float
    """Seconds since the epoch, by the database's clock."""

    def summary(self) -> str:
        """One line: how many campaigns are in which state."""
        if not self.rows:
            return "no campaign yet"
        numbers = {state: sum(row.state is state for row in self.rows) for state in State}
        parts = [f"{number:,} {state}" for state, number in numbers.items() if number]
        parts += [f"{self.others:,} older ones not listed"] if self.others else []
        return ", ".join(parts)

    @property
    def settled(self) -> Sequence[CampaignRow]:
        """The rows that change with an event rather than with time: of all that nobody sends."""
        return [row for row in self.rows if row.state is not State.SENDING]

    def markdown(self, report_keys: Sequence[str]) -> str:
        """The page for operators, which links the run and the report of each campaign.

        `report_keys` are the keys of the reports' artifacts, in the order of the rows.
        """
        lines = ["# Campaigns", "", f"**{self.summary()}**, as of {_moment(self.as_of)} UTC", ""]
        if self.rows:
            rows = [
                _on_page(_linked(row), _report(row, key))
                for row, key in zip(self.rows, report_keys, strict=True)
            ]
            head = [column.capitalize() for column in COLUMNS]
            lines += table(_on_page(head, "Report"), rows, words=4)
            lines.append(_LEGEND)
        return "\n".join(lines)


_LEGEND = (
    "Planned: the recipients. Accepted: the server of a connection took the message. Delivered,"
    " bounced and complained are known from providers' events and returned mail. Pace: of the last"
    " minute while a campaign is sent, else of its last run. Times are in UTC. A campaign's name"
    " leads to its last run."
)
# The page of an artifact is two levels below the UI's address, in both UIs: see core/form_links.py.
_UI = "../.."


def _linked(row: CampaignRow) -> list[str]:
    name, *others = map(cell, row.cells())
    return [f"[{name}]({_UI}/runs/flow-run/{row.run_id})" if row.run_id else name, *others]


def _on_page(cells: Sequence[str], report: str) -> list[str]:
    """Put the end and the report early: the UI cuts off the last columns of a wide table."""
    name, state, *numbers, end = cells
    return [name, state, end, report, *numbers]


def _report(row: CampaignRow, key: str) -> str:
    return f"[report]({_UI}/artifacts/key/{key})" if row.is_reported else ""
