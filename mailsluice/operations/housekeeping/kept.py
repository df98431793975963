"""What housekeeping did, or would do, as a page without addresses. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailsluice.core.markdown import cell, section, table
from mailsluice.store.campaign_age import CampaignAge

_MOST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one campaign."""

    campaign: CampaignAge
    folder: str = ""
    """Where its archive is; empty: it has none."""
    deleted: int = 0
    """Rows deleted in this run."""
    trouble: str = ""
    """Why it is not done with; its rows are where they were, or in the archive."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A run's result."""

    keep_days: int
    is_plan: bool
    """Nothing was written or deleted."""
    due: int
    """Campaigns that ended longer ago."""
    done: Sequence[Done]
    """Of these, those that this run came to, in order; of a plan all of them."""
    stale: Sequence[CampaignAge]
    """Campaigns as old that never ended."""
    archived: int
    """Campaigns that were archived before."""
    free_bytes: int | None = None
    """Of a SQLite file: unused, and used again by the next campaigns."""

    @property
    def troubled(self) -> list[Done]:
        """Campaigns that could not be done with."""
        return [done for done in self.done if done.trouble]

    @property
    def rows(self) -> int:
        """Rows deleted in this run."""
        return sum(done.deleted for done in self.done)

    def summary(self) -> str:
        """One line."""
        old = f"ended more than {self.keep_days:,} days ago"
        if not self.due:
            return f"nothing to do: no campaign {old}"
        people = sum(done.campaign.accepted for done in self.done)
        if self.is_plan:
            return (
                f"a plan, nothing was changed: {_campaigns(self.due)} with {people:,} recipients"
                f" {old}; give archive_folder to archive them"
            )
        good = len(self.done) - len(self.troubled)
        said = f"{good:,} of {_campaigns(self.due)} archived, {self.rows:,} rows deleted"
        return said + (f"; {len(self.troubled):,} in trouble" if self.troubled else "")

    def markdown(self) -> str:
        """A page."""
        lines = ["# Housekeeping", "", f"**{self.summary()}**", ""]
        lines += section("In trouble", [f"- {_line(done)}" for done in self.troubled])
        lines += section("To be archived" if self.is_plan else "Archived", self._table())
        lines += section(
            "As old, but never ended",
            [
                *(
                    f"- {cell(campaign.name)}, of {_day(campaign.created_at)}: {campaign.status}"
                    for campaign in self.stale
                ),
                "",
                "They are kept. Finish them (`send-campaign`), or end them (`cancel-campaign`).",
            ]
            if self.stale
            else [],
        )
        return "\n".join([*lines, *self._notes()])

    def _table(self) -> list[str]:
        good = [done for done in self.done if not done.trouble]
        rows = [
            [
                cell(done.campaign.name),
                cell(done.folder),
                _day(done.campaign.ended_at),
                f"{done.campaign.accepted:,}",
                f"{done.deleted:,}",
            ]
            for done in good[:_MOST_SHOWN]
        ]
        if not rows:
            return []
        more = [f"And {len(good) - _MOST_SHOWN:,} more."] if good[_MOST_SHOWN:] else []
        head = ["Campaign", "Archive", "Ended", "Recipients", "Rows deleted"]
        return [*table(head, rows, 3), *more]

    def _notes(self) -> Iterator[str]:
        if self.archived:
            yield f"Archived before: {_campaigns(self.archived)}."
        if self.free_bytes:
            yield (
                f"Unused in the SQLite file: {self.free_bytes / 1e6:,.0f} MB, which the next"
                " campaigns take up; docs/housekeeping.md says how to give it back."
            )


def _campaigns(number: int) -> str:
    return f"{number:,} campaign{'' if number == 1 else 's'}"


def _line(done: Done) -> str:
    return f"**{cell(done.campaign.name)}**: {cell(done.trouble)}"


def _day(moment: float | None) -> str:
    return "" if moment is None else str(datetime.fromtimestamp(moment, UTC).date())
