"""Which connection sends for which other one."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import pytest

from mailsluice.core.moves import Move, MoveReason
from mailsluice.operations.lending.planner import LendingPlanner, Loan
from mailsluice.operations.lending.situation import Condition, Situation
from mailsluice.reports.progress import Binding, Cause, Standing, Tally

_QUOTA = 10_000
_MINUTE = 61


class World:
    """Two connections: `slow` settles one recipient a second, `fast` ten and then nothing."""

    def __init__(self, *, percent: int = 10, targets: Sequence[str] = ("slow", "fast")) -> None:
        self.planner = LendingPlanner({"slow": _QUOTA, "fast": _QUOTA}, targets, Decimal(percent))
        self.now = 0
        self.done = {"slow": 0, "fast": 0}
        self.moves: list[Move] = []

    def pass_seconds(
        self,
        seconds: int,
        slow: Condition = Condition.SENDS,
        fast: Condition = Condition.IDLE,
        *,
        fast_left: int = 0,
    ) -> None:
        """Observe both connections each second."""
        for _ in range(seconds):
            self.now += 1
            self.done["slow"] += slow is Condition.SENDS
            self.done["fast"] += 10 * (fast is Condition.SENDS)
            slow_is = Situation("slow", slow, _QUOTA - self.done["slow"], self.done["slow"])
            fast_is = Situation("fast", fast, fast_left, self.done["fast"])
            self.planner.see(self.now, [slow_is, fast_is], self.moves)

    def loans(self, room: int = 10**9) -> list[Loan]:
        return self.planner.loans(self.now, lambda _, most: min(most, room))


def test_a_batch_keeps_the_target_busy_for_half_a_minute() -> None:
    """The target sent ten a second before it had room."""
    world = World()
    world.pass_seconds(_MINUTE, fast=Condition.SENDS, fast_left=100)
    assert world.loans() == [Loan("slow", "fast", 30 * 10 - 100)]


def test_the_next_batch_follows_when_half_of_the_last_one_is_left() -> None:
    """A transaction every second would serve nobody."""
    world = World()
    world.pass_seconds(_MINUTE, fast=Condition.SENDS, fast_left=200)
    assert not world.loans()
    world.pass_seconds(1, fast=Condition.SENDS, fast_left=150)
    assert world.loans()


def test_the_first_batch_of_a_connection_that_has_sent_nothing_is_small() -> None:
    """Its pace is not known yet."""
    world = World()
    world.pass_seconds(_MINUTE)
    assert world.loans() == [Loan("slow", "fast", 20)]


@pytest.mark.parametrize(
    ("slow", "fast"),
    [
        (Condition.SENDS, Condition.STUCK),  # the target's server is in trouble
        (Condition.SENDS, Condition.AWAY),  # nothing may be sent
        (Condition.IDLE, Condition.IDLE),  # the recipients are deferred, and stay
        (Condition.AWAY, Condition.IDLE),
    ],
)
def test_nothing_is_lent(slow: Condition, fast: Condition) -> None:
    """Where the origin is not bound, or the target has no room."""
    world = World()
    world.pass_seconds(_MINUTE, slow, fast)
    assert not world.loans()


@pytest.mark.parametrize("slow", [Condition.SENDS, Condition.BLOCKED, Condition.STUCK])
def test_recipients_that_wait_are_lent(slow: Condition) -> None:
    """Whatever they wait for: a limit, a mailbox provider, or a server in trouble."""
    world = World()
    world.pass_seconds(_MINUTE, slow)
    assert world.loans()


def test_both_conditions_have_to_last_for_a_minute() -> None:
    """A rest of the target, or a pause of the origin, begins the minute again."""
    world = World()
    world.pass_seconds(_MINUTE - 2)
    assert not world.loans()
    world.pass_seconds(2, fast=Condition.STUCK)
    world.pass_seconds(_MINUTE - 2)
    assert not world.loans()
    world.pass_seconds(2)
    assert world.loans()


def test_a_connection_gives_no_more_than_its_part() -> None:
    """One percent of 10,000, counted over all runs."""
    world = World(percent=1)
    world.moves = [Move("slow", "fast", MoveReason.LENT, 90, 5_000)]
    world.pass_seconds(_MINUTE)
    assert world.loans() == [Loan("slow", "fast", 10)]
    assert not world.planner.may_lend("fast"), "nothing more can come"


def test_only_lent_recipients_count() -> None:
    """Recipients that moved since their connection was down are no loan."""
    world = World(percent=1)
    world.moves = [Move("slow", "fast", MoveReason.DOWN, 90, 5_000)]
    world.pass_seconds(_MINUTE)
    assert world.loans() == [Loan("slow", "fast", 20)]


def test_the_limits_of_the_target_bound_a_batch() -> None:
    """A limit that is used up would keep the recipients waiting there."""
    world = World()
    world.pass_seconds(_MINUTE)
    assert not world.loans(room=0)
    assert world.loans(room=3) == [Loan("slow", "fast", 3)]


def test_a_connection_that_took_recipients_gives_none_away() -> None:
    """Nothing goes back and forth."""
    world = World()
    world.moves = [Move("fast", "slow", MoveReason.LENT, 5, 5_000)]
    world.pass_seconds(_MINUTE)
    assert not world.loans()


@pytest.mark.parametrize(
    ("idle", "origins"),
    [
        ("other", ["gave"]),  # not the one that took
        ("took", ["gave"]),
        ("gave", []),
    ],
)
def test_among_three_connections_those_that_took_and_those_that_gave_stay_so(
    idle: str, origins: list[str]
) -> None:
    """Two of them are bound, and the third one is idle; `gave` may give 5 more."""
    names = ("gave", "took", "other")
    planner = LendingPlanner(dict.fromkeys(names, _QUOTA), names, Decimal(1))
    moves = [Move("gave", "took", MoveReason.LENT, 95, 5_000)]
    for second in range(_MINUTE):
        planner.see(
            second,
            [
                Situation(name, Condition.IDLE, 0, 0)
                if name == idle
                else Situation(name, Condition.SENDS, 5_000 - second, second)
                for name in names
                if name != "other" or idle != "took"  # to which it would give
            ],
            moves,
        )
    loans = planner.loans(_MINUTE, lambda _, most: most)
    assert [loan.origin for loan in loans] == origins
    assert all(loan.recipients == 5 for loan in loans)


def test_only_connections_that_may_lend_their_room_get_recipients() -> None:
    """The document says which."""
    world = World(targets=["slow"])
    world.pass_seconds(_MINUTE)
    assert not world.loans()
    assert not world.planner.may_lend("fast")


def test_a_loan_that_a_process_elsewhere_has_not_noticed_is_not_repeated() -> None:
    """Its progress is read every few seconds."""
    world = World()
    world.pass_seconds(_MINUTE)
    assert world.loans()
    world.pass_seconds(5)
    assert not world.loans()


@pytest.mark.parametrize(
    ("slow", "may"),
    [(Condition.AWAY, True), (Condition.IDLE, False), (Condition.OVER, False)],
)
def test_a_target_is_kept_as_long_as_recipients_may_come(slow: Condition, may: bool) -> None:
    """Deferred recipients stay where they are; a closed window opens again."""
    world = World()
    world.pass_seconds(1, slow)
    assert world.planner.may_lend("fast") is may


def test_an_origin_whose_recipients_cannot_be_moved_is_not_tried_each_second() -> None:
    """All of them may be claimed already."""
    world = World()
    world.pass_seconds(_MINUTE)
    assert world.loans()
    world.planner.found_none("slow", world.now)
    world.pass_seconds(20)
    assert not world.loans()
    world.pass_seconds(11)
    assert world.loans()


@pytest.mark.parametrize(
    ("cause", "condition"),
    [
        (Cause.LIMIT, Condition.SENDS),
        (Cause.DONE, Condition.IDLE),
        (Cause.CANARY, Condition.AWAY),  # nothing is sent before the decision
        (Cause.HELD, Condition.OVER),
        (Cause.QUARANTINED, Condition.OVER),
        (Cause.WINDOW, Condition.AWAY),
        (Cause.PACED, Condition.AWAY),  # the campaign is not to end earlier
    ],
)
def test_a_connections_condition_follows_from_its_progress(
    cause: Cause, condition: Condition
) -> None:
    """What is unknown counts as away."""
    standing = Standing("a", Tally(assigned=10, sent=3, failed=1), Binding(cause))
    assert Situation.of(standing) == Situation("a", condition, left=6, done=4)
