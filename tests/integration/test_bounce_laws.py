"""Laws of the effect of reports on the suppression list, against a model in plain Python."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailsluice.bounces import Bounce, BounceKind
from mailsluice.core.status import RecipientStatus
from mailsluice.store import Bounces, Campaigns, Database, Suppressions
from mailsluice.store.bounces import SOFT_IN_A_ROW
from mailsluice.store.campaign_tables import tables_of
from tests.thorough import examples

WEEKS = 9
laws = settings(
    deadline=None,
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_people = itertools.count()


@pytest.fixture
def campaign_ids(database: Database) -> list[int]:
    """Messages, one each week."""
    return [Campaigns(database).register(f"week {i}", {}).id for i in range(WEEKS)]


def record_in_parts(database: Database, reports: Sequence[Bounce], cuts: Sequence[int]) -> None:
    bounds = [0, *sorted(cut % (len(reports) + 1) for cut in cuts), len(reports)]
    for start, end in itertools.pairwise(bounds):
        Bounces(database).record(reports[start:end])


def reason_of(database: Database, email: str) -> str | None:
    found = Suppressions(database).find([email])
    return found[0].reason if found else None


def accept(database: Database, email: str, campaign_id: int, at: float) -> None:
    with database.write() as transaction:
        row = {"campaign_id": campaign_id, "email": email, "connection": "a", "variables": "{}"}
        values = {**row, "status": RecipientStatus.SENT, "settled_at": at}
        recipients = tables_of(database, campaign_id).recipients
        transaction.execute(sa.insert(recipients).values(values))


Week = tuple[bool, int]
"""Whether a server accepted the message, and the number of soft reports about it."""


def naive(weeks: Sequence[Week]) -> bool:
    """Return whether so many consecutive messages came back, up to the last one."""
    row = 0
    for accepted, reports in weeks:
        if reports:
            row += 1
        elif accepted:
            row = 0
    return row >= SOFT_IN_A_ROW


@laws
@given(
    weeks=st.lists(st.tuples(st.booleans(), st.integers(0, 2)), min_size=5, max_size=WEEKS),
    cuts=st.lists(st.integers(0, 20), max_size=4),
    random=st.randoms(use_true_random=False),
)
def test_consecutive_soft_bounces_suppress_as_in_the_model_in_any_order(
    database: Database,
    campaign_ids: list[int],
    weeks: list[Week],
    cuts: list[int],
    random: Random,
) -> None:
    email = f"user{next(_people)}@example.com"
    reports = []
    for week, (accepted, number) in enumerate(weeks):
        if accepted:
            accept(database, email, campaign_ids[week], at=week)
        for copy in range(number):
            key, at = f"{email} {week} {copy}", week + 0.1 * copy
            report = Bounce(key, email, BounceKind.SOFT, "", "", "x", at, None, campaign_ids[week])
            reports.append(report)
    random.shuffle(reports)
    record_in_parts(database, reports, cuts)
    assert (reason_of(database, email) == "bounced") == naive(weeks)
    again = Bounces(database).record(reports)
    assert (again.new, again.suppressed) == (0, 0)


@laws
@given(
    kinds=st.lists(st.sampled_from(BounceKind), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 20), max_size=3),
    random=st.randoms(use_true_random=False),
)
def test_the_strongest_reason_counts_in_any_order_of_reports(
    database: Database, kinds: list[BounceKind], cuts: list[int], random: Random
) -> None:
    email = f"user{next(_people)}@example.com"
    reports = [
        Bounce(f"{email} {i}", email, kind, "", "", "x", float(i)) for i, kind in enumerate(kinds)
    ]
    random.shuffle(reports)
    record_in_parts(database, [*reports, *reports], cuts)
    reasons = {BounceKind.COMPLAINT: "complained", BounceKind.HARD: "bounced"}
    expected = next((reason for kind, reason in reasons.items() if kind in kinds), None)
    assert reason_of(database, email) == expected
