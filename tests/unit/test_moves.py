"""Recipients that move to another connection: numbers, shares and sentences."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.moves import (
    Move,
    MoveReason,
    moved_away,
    moved_here,
    placed,
    shares_after,
    together,
)

HALF = Decimal("0.5")
SPILL = Move("new", "old", MoveReason.WARM_UP, 969, 987)


def test_a_move_is_described_in_a_sentence() -> None:
    assert SPILL.sentence() == (
        "969 recipients went from new to old: over the cap of new's warm-up"
    )
    down = Move("new", "old", MoveReason.DOWN, 18, 18)
    assert down.sentence() == "18 recipients went from new to old: new was down, or rested too long"
    assert together([SPILL, down, down]) == [
        SPILL,
        Move("new", "old", MoveReason.DOWN, 36, 18),
    ]


@pytest.mark.parametrize(
    ("moves", "shares"),
    [
        ([], {"a": HALF, "b": HALF}),  # nobody moves: the plan's
        ([Move("b", "a", MoveReason.WARM_UP, 9, 10)], {"a": Decimal("0.95"), "b": Decimal("0.05")}),
        ([Move("b", "a", MoveReason.DOWN, 10, 10)], {"a": 1, "b": 0}),  # all of them
        # to two other connections in turn: 8 of 10, then the remaining 2
        (
            [Move("b", "a", MoveReason.DOWN, 8, 10), Move("b", "c", MoveReason.DOWN, 2, 2)],
            {"a": Decimal("0.9"), "b": 0, "c": Decimal("0.1")},
        ),
        # to a connection without a share, and on from there
        (
            [Move("b", "c", MoveReason.WARM_UP, 5, 10), Move("c", "a", MoveReason.DOWN, 5, 5)],
            {"a": Decimal("0.75"), "b": Decimal("0.25"), "c": 0},
        ),
    ],
)
def test_recipients_take_their_share_along(moves: list[Move], shares: dict[str, Decimal]) -> None:
    assert shares_after({"a": HALF, "b": HALF}, moves) == shares


def test_a_connection_without_recipients_has_no_share() -> None:
    third = Decimal(1) / 3  # 28 digits: times 7 and by 7 again is not the same
    shares = shares_after({"a": third, "b": third}, [Move("b", "a", MoveReason.DOWN, 7, 7)])
    assert shares["b"] == 0


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[str, int], list[Move]]:
    """Draw connections with recipients, and possible moves between them."""
    names = ["a", "b", "c", "d"]
    assigned = {name: draw(st.integers(0, 1_000)) for name in names}
    now, moves = dict(assigned), []
    for _ in range(draw(st.integers(0, 8))):
        origin, target = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        if origin != target and now[origin]:
            number = draw(st.integers(1, now[origin]))
            moves.append(Move(origin, target, MoveReason.DOWN, number, now[origin]))
            now[origin] -= number
            now[target] += number
    return assigned, moves


@given(histories())
def test_moves_keep_the_sums_of_recipients_and_shares(
    history: tuple[dict[str, int], list[Move]],
) -> None:
    assigned, moves = history
    after, away, here = placed(assigned, moves), moved_away(moves), moved_here(moves)
    assert sum(after.values()) == sum(assigned.values())
    assert after == {name: assigned[name] - away[name] + here[name] for name in assigned}
    total = sum(assigned.values()) or 1
    shares = shares_after({name: Decimal(n) / total for name, n in assigned.items()}, moves)
    assert all(share >= 0 for share in shares.values())
    for name, share in shares.items():  # in proportion to what each has to send
        assert abs(share - Decimal(after[name]) / total) < Decimal("1e-20")
