"""Whether a recipient or the connection is to blame for a failed session, and the next turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.core.outcome import Trouble
from mailsluice.delivery.judgement import MOST_POINTS, Failure, Judgement, Turn, judge

PLAIN = Failure(
    trouble=Trouble.SESSION,
    session_goes_on=False,
    carried=0,
    longest=0,
    points=0,
    had_attempts=False,
    connection_has_worked=True,
    is_repeated=False,
    is_ending=False,
)


@pytest.mark.parametrize(
    ("failure", "judgement"),
    [
        # A session that breaks at its first recipient: others are tried before it.
        (PLAIN, Judgement(Turn.LAST, 3, False, False)),
        # In a session that has carried mail the link is the likelier cause.
        (PLAIN._replace(carried=2, longest=5), Judgement(Turn.NEXT, 1, False, False)),
        # The server ends sessions after so many messages: nobody's fault.
        (PLAIN._replace(carried=5, longest=5), Judgement(Turn.NEXT, 0, False, False)),
        # At the second failure of the same recipient the connection is not blamed any more ...
        (PLAIN._replace(points=3), Judgement(Turn.LAST, 6, True, False)),
        (PLAIN._replace(had_attempts=True), Judgement(Turn.LAST, 3, True, False)),
        # ... unless it has never worked in this run.
        (
            PLAIN._replace(points=3, connection_has_worked=False),
            Judgement(Turn.LAST, 6, False, False),
        ),
        # With all points used up the recipient is deferred.
        (PLAIN._replace(points=6), Judgement(Turn.LATER, 0, True, False)),
        (
            PLAIN._replace(points=8, carried=1, longest=2),
            Judgement(Turn.LATER, 0, True, False),
        ),
        # Sessions that end with the run, or with the connection, cost nothing.
        (PLAIN._replace(points=6, is_ending=True), Judgement(Turn.LAST, 6, True, False)),
        # The server refuses before it looks at the recipient, and keeps the session.
        (PLAIN._replace(session_goes_on=True), Judgement(Turn.LAST, 3, False, True)),
        # The same reply to a message that was on its way already is no news.
        (
            PLAIN._replace(session_goes_on=True, is_repeated=True),
            Judgement(Turn.LAST, 3, False, False),
        ),
        # The server ends the session before it looks at the recipient, again and again.
        (
            PLAIN._replace(points=6, had_attempts=True, is_closed_to_all=True),
            Judgement(Turn.LAST, 6, False, False),
        ),
        # A reply that is about this recipient does not blame the connection.
        (
            PLAIN._replace(session_goes_on=True, points=3),
            Judgement(Turn.LAST, 6, True, False),
        ),
        (
            PLAIN._replace(session_goes_on=True, trouble=Trouble.NONE),
            Judgement(Turn.LAST, 3, False, False),
        ),
    ],
)
def test_each_failure_has_its_judgement(failure: Failure, judgement: Judgement) -> None:
    assert judge(failure) == judgement


@given(
    st.builds(
        Failure,
        trouble=st.sampled_from([Trouble.NONE, Trouble.SESSION, Trouble.THROTTLED]),
        session_goes_on=st.booleans(),
        carried=st.integers(0, 5),
        longest=st.integers(0, 5),
        points=st.integers(0, MOST_POINTS - 1),
        had_attempts=st.booleans(),
        connection_has_worked=st.booleans(),
        is_repeated=st.booleans(),
        is_ending=st.booleans(),
        is_closed_to_all=st.booleans(),
    )
)
def test_laws_of_the_judgement(failure: Failure) -> None:
    """One side is blamed at most, and a recipient never gets its points back without a turn."""
    judgement = judge(failure)
    assert not (judgement.blames_recipient and judgement.blames_connection)
    assert (judgement.points >= failure.points) or judgement.turn is Turn.LATER
    assert judgement.points < MOST_POINTS
    if failure.is_ending or failure.is_closed_to_all:
        assert judgement.points == failure.points


def test_no_recipient_keeps_others_waiting_for_ever() -> None:
    points = 0
    for _ in range(MOST_POINTS):
        judgement = judge(PLAIN._replace(points=points, carried=1, longest=3))
        if judgement.turn is Turn.LATER:
            return
        points = judgement.points
    pytest.fail("the recipient was never deferred")
