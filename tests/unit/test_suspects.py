"""Whether a refusal that speaks of the connection is really about one recipient."""

from __future__ import annotations

import pytest

from mailsluice.outbox import Claimed
from mailsluice.outcome import Attempt, Phase
from mailsluice.sending.suspects import Suspects

DENIED = Attempt(Phase.RCPT, 550, "5.7.1 Relay access denied")


def row(number: int) -> Claimed:
    return Claimed(number, f"user{number}@example.com", "{}", 0, 0.0)


def test_one_or_two_in_a_row_wait_aside() -> None:
    suspects = Suspects()
    for number in (1, 2):
        suspects.add(row(number), DENIED)
        assert not suspects.connection_is_down


def test_three_in_a_row_are_the_connections_trouble() -> None:
    suspects = Suspects()
    for number in (1, 2, 3):
        suspects.add(row(number), DENIED)
    assert suspects.connection_is_down
    assert suspects.last == DENIED


@pytest.mark.parametrize("phase", [Phase.LOGIN, Phase.MAIL])
def test_a_refusal_that_names_no_recipient_is_the_connections_at_once(phase: Phase) -> None:
    suspects = Suspects()
    suspects.add(row(1), Attempt(phase, 550, "5.7.1 Sender address rejected"))
    assert suspects.connection_is_down


def test_cleared_they_are_given_back_and_counting_begins_anew() -> None:
    suspects = Suspects()
    suspects.add(row(1), DENIED)
    suspects.add(row(2), DENIED)
    assert [one.id for one, _ in suspects.clear()] == [1, 2]
    assert not suspects
    suspects.add(row(3), DENIED)
    assert not suspects.connection_is_down
