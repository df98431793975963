"""What a campaign document needs of Prefect: the day of the run, the databases of its queries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date

import sqlalchemy as sa
from prefect.runtime import flow_run

from blocks.loading import load_database
from mailsluice.campaign import Campaign


def scheduled_day() -> date:
    """The day that the run was scheduled for (UTC)."""
    return flow_run.get_scheduled_start_time().astimezone(UTC).date()


def dated(name: str, day: date) -> str:
    """A campaign's name with the day for `{date}`."""
    return name.replace("{date}", day.isoformat())


async def database_engines(document: Campaign) -> Callable[[str], sa.Engine]:
    """Load the databases that a campaign's queries run on; gives the engine of each by its name."""
    names = {document.recipients.database, document.exclude.database} - {None}
    engines = {name: (await load_database(name)).get_engine() for name in names if name}
    return engines.__getitem__
