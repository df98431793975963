"""A campaign that is killed again and again loses nobody, and sends to nobody twice.

`make test` kills it eight times and `make thorough` 24 times, which also kills campaigns whose
recipients move to other connections. `make chaos` kills more often still, and all kinds of
campaigns.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.databases import database
from tests.chaos.monkey import run
from tests.chaos.plan import Plan
from tests.thorough import IS_THOROUGH

KILLS = 24 if IS_THOROUGH else 8
MANY = 100 * KILLS
PLANS = {
    "sqlite": Plan(recipients=MANY, kills=KILLS, seed=20_261),
    # One session a connection: each sends enough between two kills for its window to grow.
    "sqlite, in flight": Plan(6 * MANY, KILLS, seed=20_263, sessions=1, in_flight=10),
    "postgresql": Plan(MANY, KILLS, seed=20_262, faulty=80, messages_per_session=20),
}
if IS_THOROUGH:
    PLANS["sqlite, everything"] = Plan(600, 8, seed=20_264, kind="everything", stops=25)
    PLANS["postgresql, in processes"] = Plan(
        600, 8, seed=20_265, kind="account suspended", processes=3, stops=25
    )


@pytest.mark.thorough
@pytest.mark.parametrize("name", list(PLANS))
def test_nothing_lost_and_nothing_twice(name: str, tmp_path: Path) -> None:
    base = PLANS[name]
    with database(name.partition(",")[0], tmp_path) as url:
        plan = Plan(**{**vars(base), "folder": tmp_path, "database_url": url})
        verdict = run(plan)
    print(verdict)  # noqa: T201
    assert verdict.kills >= 0.8 * base.kills, verdict
    assert verdict.lost == verdict.twice == verdict.astray == verdict.contradicted == [], verdict
    assert verdict.is_good, verdict
