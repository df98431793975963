"""What becomes of recipients that were `sending` when a run died."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailsluice.campaign import UncertainPolicy
from mailsluice.core.status import RecipientStatus
from mailsluice.delivery.journal import JournalContents
from mailsluice.delivery.recovery import recover
from mailsluice.store import InDoubt

SENT, DEFERRED = RecipientStatus.SENT, RecipientStatus.DEFERRED
FAILED, UNCERTAIN = RecipientStatus.FAILED, RecipientStatus.UNCERTAIN
HOLD, RESEND, ASSUME = UncertainPolicy.HOLD, UncertainPolicy.RESEND, UncertainPolicy.ASSUME_SENT

NO_DOT: dict[int, int | None] = {}


def dot(code: int | None) -> dict[int, int | None]:
    return {7: code}


# what the journal knows (None: no evidence), policy, status (None: pending again)
CASES = [
    (NO_DOT, HOLD, None),
    (NO_DOT, RESEND, None),
    (NO_DOT, ASSUME, None),
    (dot(250), HOLD, SENT),
    (dot(250), RESEND, SENT),
    (dot(450), HOLD, DEFERRED),
    (dot(421), HOLD, DEFERRED),  # not accepted: a server that accepts replies 250 first
    (dot(554), HOLD, FAILED),
    (dot(None), HOLD, UNCERTAIN),
    (dot(None), RESEND, DEFERRED),
    (dot(None), ASSUME, SENT),
    (dot(354), HOLD, UNCERTAIN),  # no reply to a message
    (None, HOLD, UNCERTAIN),
    (None, RESEND, DEFERRED),
    (None, ASSUME, SENT),
]


@pytest.mark.parametrize(("known", "policy", "status"), CASES)
def test_the_journal_decides_and_the_policy_decides_in_doubt(
    known: dict[int, int | None] | None, policy: UncertainPolicy, status: RecipientStatus | None
) -> None:
    evidence = None if known is None else JournalContents("j", known)
    recovery = recover({7: InDoubt("red", 1)}, evidence, policy)
    if status is None:
        assert (recovery.released, recovery.settled) == ([7], [])
        return
    (settled,) = recovery.settled
    assert recovery.released == []
    assert (settled.id, settled.status, settled.attempts) == (7, status, 2)
    assert (settled.delay_seconds is not None) == (status is DEFERRED)
    assert recovery.uncertain == (status is UNCERTAIN)


def test_attempts_that_were_not_accepted_are_kept_in_the_history() -> None:
    recovery = recover(
        dict.fromkeys((1, 2, 3), InDoubt("red", 0)),
        JournalContents("j", {1: 250, 2: 450, 3: None}),
        HOLD,
    )
    kept = {one.id: one.history and one.history.verdict for one in recovery.settled}
    assert kept == {1: None, 2: "deferred", 3: "uncertain"}
    assert {one.history.connection for one in recovery.settled if one.history} == {"red"}


CODES = st.none() | st.integers(200, 599)


@given(
    st.dictionaries(st.integers(1, 50), st.builds(InDoubt, st.just("red"), st.integers(0, 5))),
    st.none() | st.dictionaries(st.integers(1, 50), CODES),
)
def test_each_recipient_is_decided_once_and_held_where_the_mail_may_have_arrived(
    in_doubt: dict[int, InDoubt], replies: dict[int, int | None] | None
) -> None:
    evidence = None if replies is None else JournalContents("j", replies)
    recovery = recover(in_doubt, evidence, HOLD)
    decided = [*recovery.released, *(one.id for one in recovery.settled)]
    assert sorted(decided) == sorted(in_doubt)
    for one in recovery.settled:
        code = None if replies is None else replies[one.id]
        if code is None or code < 400:
            assert one.status in {SENT, UNCERTAIN}
    for recipient in recovery.released:
        assert replies is not None
        assert recipient not in replies
