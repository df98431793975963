"""When a campaign's run has let go of it."""

from __future__ import annotations

import sqlite3

from tests.eventually import eventually
from tests.serving import Served


def until_no_run_sends(served: Served, campaign: str) -> None:
    """Wait until the run that was stopped has recorded what was in flight, and has ended."""

    def owner() -> object:
        with sqlite3.connect(served.state) as connection:
            query = "SELECT owner FROM campaigns WHERE name = ?"
            return connection.execute(query, (campaign,)).fetchone()[0]

    eventually(owner, lambda found: found is None)
