"""The limits of a connection, and a campaign's limits shared out."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from mailsluice.limits import Bound, Limit, limits, shared
from mailsluice.smtp.connection import Connection


@dataclass(frozen=True)
class Rates:
    per_second: int | None = None
    per_minute: int | None = None
    per_hour: int | None = None
    per_day: int | None = None


def test_the_documented_example_is_shared_out_exactly() -> None:
    shares = {"sendgrid": Decimal("0.7"), "sparkpost": Decimal("0.3")}
    assert shared(Rates(per_hour=6_000), shares) == {
        "sendgrid": (Limit(4_200, 3600.0),),
        "sparkpost": (Limit(1_800, 3600.0),),
    }


def test_a_share_below_one_message_a_window_is_one_in_a_longer_window() -> None:
    shares = {"a": Decimal("0.9"), "b": Decimal("0.1")}
    assert shared(Rates(per_second=2), shares)["b"] == (Limit(1, 5.0),)


def test_a_connection_without_a_share_has_no_limits() -> None:
    assert shared(Rates(per_second=2), {"a": Decimal(1), "b": Decimal(0)})["b"] == ()


def test_only_limits_that_are_set_count() -> None:
    assert limits(Rates(per_minute=5, per_day=100)) == (Limit(5, 60.0), Limit(100, 86400.0))


def test_a_connection_may_have_a_limit_a_week() -> None:
    (week,) = limits(Connection("red", "localhost", 25, per_week=9_000))
    assert week == Limit(9_000, 7 * 86_400.0)
    assert (str(week), str(Bound(week, "its own"))) == ("per_week 9,000", "9,000 a week (its own)")
