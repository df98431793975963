"""The list of campaigns in a terminal, or as JSON."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from deployments.command.output import WIDEST, show

if TYPE_CHECKING:
    from rich.table import Table

    from mailsluice.reports.overview import CampaignRow


def show_campaigns(*, as_json: bool) -> None:
    """Print the latest campaigns, and those that have not ended."""
    from mailsluice.reports.overview.queries import overview
    from mailsluice.store import Database

    with Database() as database:
        listed = overview(database)
        place = database.engine.url.render_as_string(hide_password=True)
    if as_json:
        show("", [_values(row) for row in listed.rows], as_json=True)
    elif not listed.rows:
        print(f"There is no campaign yet in the state database {place}")
    else:
        from rich.console import Console

        console = Console(width=None if sys.stdout.isatty() else WIDEST)
        rows = [[*row.cells()[:-1], _end(row, listed.as_of)] for row in listed.rows]
        console.print(laid_out(listed.summary(), rows))


def _end(row: CampaignRow, now: float) -> str:
    """The end of a campaign in few letters: the time of day, or the year if that is another one."""
    end = row.ended_at or row.expected_end
    if end is None:
        return row.cells()[-1]
    moment, present = datetime.fromtimestamp(end, UTC), datetime.fromtimestamp(now, UTC)
    text = f"{moment:%d %b %H:%M}" if moment.year == present.year else f"{moment:%d %b %Y}"
    return text if row.ended_at else f"about {text}"


def laid_out(title: str, rows: list[list[str]]) -> Table:
    """Lay out the list so that its columns fit into 80: only names, states and ends may wrap."""
    from rich.markup import escape
    from rich.table import Table

    from mailsluice.reports.overview.overview import COLUMNS

    table = Table(
        title=escape(title), title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0)
    )
    for column in COLUMNS:
        may_wrap = column in ("campaign", "state", "end")
        table.add_column(
            _HEADS.get(column, column),
            justify="left" if may_wrap else "right",
            no_wrap=not may_wrap,
            overflow="fold",
            min_width=6 if column == "end" else None,
        )
    for row in rows:
        table.add_row(*map(escape, row))
    return table


_HEADS = {"complained": "compl.", "end": "end (UTC)"}


def _values(row: CampaignRow) -> dict[str, Any]:
    """A row for JSON: moments are in UTC, the pace is in messages per second."""
    values = asdict(row)
    return {
        "campaign": values.pop("name"),
        **values,
        "ended_at": _moment(row.ended_at),
        "expected_end": _moment(row.expected_end),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
