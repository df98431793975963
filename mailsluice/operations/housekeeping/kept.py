"""The result of housekeeping, and its page without addresses. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mailsluice.core.markdown import cell, section, table
from mailsluice.store.campaign_age import CampaignAge

_MOST_SHOWN = 100
_NOTHING = "nothing to do: "


@dataclass(frozen=True, slots=True)
class Done:
    """The result for one campaign."""

    campaign: CampaignAge
    folder: str = ""
    """The folder of its archive; empty when there is none."""
    deleted: int = 0
    """Rows deleted in this run."""
    trouble: str = ""
    """Why it could not be archived completely; its rows are in the database or in the archive."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The result of a run."""

    keep_days: int
    is_plan: bool
    """Whether this is a plan, so that nothing was written or deleted."""
    due: int
    """Campaigns that ended more than `keep_days` days ago."""
    done: Sequence[Done]
    """Results for the due campaigns that this run reached, in order; for a plan, all of them."""
    stale: Sequence[CampaignAge]
    """Campaigns of the same age that never ended."""
    archived: int
    """Campaigns that earlier runs archived."""
    packed: Sequence[Done] = ()
    """Results for younger campaigns that have ended, whose tables this run packed."""
    free_bytes: int | None = None
    """Unused bytes in a SQLite file, which the next campaigns use again."""

    @property
    def troubled(self) -> list[Done]:
        """Campaigns that could not be archived completely."""
        return [done for done in self.done if done.trouble]

    @property
    def rows(self) -> int:
        """Rows deleted in this run."""
        return sum(done.deleted for done in self.done)

    def summary(self) -> str:
        """One line."""
        packed = sum(not done.trouble for done in self.packed)
        if not packed:
            return self._archived()
        return f"{self._archived().removeprefix(_NOTHING)}; {_campaigns(packed)} packed"

    def _archived(self) -> str:
        old = f"ended more than {self.keep_days:,} days ago"
        if not self.due:
            return f"{_NOTHING}no campaign {old}"
        recipients = sum(done.campaign.accepted for done in self.done)
        if self.is_plan:
            return (
                f"a plan, nothing was changed: {_campaigns(self.due)} with {recipients:,}"
                f" recipients {old}; set archive_folder to archive them"
            )
        good = len(self.done) - len(self.troubled)
        text = f"{good:,} of {_campaigns(self.due)} archived, {self.rows:,} rows deleted"
        return text + (f"; {len(self.troubled):,} could not be archived" if self.troubled else "")

    def markdown(self) -> str:
        """The page for operators."""
        lines = ["# Housekeeping", "", f"**{self.summary()}**", ""]
        lines += section("Not archived", [f"- {_line(done)}" for done in self.troubled])
        lines += section("Not packed", [f"- {_line(done)}" for done in self.packed if done.trouble])
        lines += section("To be archived" if self.is_plan else "Archived", self._table())
        lines += section(
            "As old, but not ended",
            [
                *(
                    f"- {cell(campaign.name)}, of {_day(campaign.created_at)}: {campaign.status}"
                    for campaign in self.stale
                ),
                "",
                "These campaigns are kept. Complete them (`send-campaign`), or cancel them"
                " (`cancel-campaign`).",
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
            yield f"Archived by earlier runs: {_campaigns(self.archived)}."
        if self.free_bytes:
            yield (
                f"Unused in the SQLite file: {self.free_bytes / 1e6:,.0f} MB, which the next"
                " campaigns use; docs/housekeeping.md says how to shrink the file."
            )


def _campaigns(number: int) -> str:
    return f"{number:,} campaign{'' if number == 1 else 's'}"


def _line(done: Done) -> str:
    return f"**{cell(done.campaign.name)}**: {cell(done.trouble)}"


def _day(moment: float | None) -> str:
    return "" if moment is None else str(datetime.fromtimestamp(moment, UTC).date())
