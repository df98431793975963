"""A campaign that is killed twenty times and more loses nobody, and sends to nobody twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.databases import database
from tests.chaos.monkey import run
from tests.chaos.plan import Plan

PLANS = {
    "sqlite": Plan(recipients=2_500, kills=24, seed=20_261),
    # One session a connection: each sends enough in a life for its window to grow.
    "sqlite, in flight": Plan(recipients=14_000, kills=24, seed=20_263, sessions=1, in_flight=10),
    "postgresql": Plan(recipients=2_500, kills=24, seed=20_262, faulty=80, messages_per_session=20),
}


@pytest.mark.parametrize("name", list(PLANS))
def test_nothing_lost_and_nothing_twice(name: str, tmp_path: Path) -> None:
    base = PLANS[name]
    with database(name.partition(",")[0], tmp_path) as url:
        plan = Plan(**{**vars(base), "folder": tmp_path, "database_url": url})
        verdict = run(plan)
    print(verdict)  # noqa: T201
    assert verdict.kills >= 20, verdict
    assert verdict.lost == verdict.twice == verdict.astray == verdict.contradicted == [], verdict
    assert verdict.is_good, verdict
