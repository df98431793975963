"""A campaign that is killed twenty times and more loses nobody, and sends to nobody twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.databases import database
from tests.chaos.monkey import run
from tests.chaos.plan import Plan

PLANS = {
    "sqlite": Plan(recipients=10_000, kills=24, seed=20_261),
    "sqlite, in flight": Plan(recipients=30_000, kills=30, seed=20_263, in_flight=10),
    "postgresql": Plan(recipients=8_000, kills=24, seed=20_262, faulty=40, messages_per_session=50),
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
