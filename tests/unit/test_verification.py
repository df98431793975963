"""Verification: the numbers that agree, and the discrepancies otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mailsluice.core.status import CampaignStatus
from mailsluice.reports.verification import DeliveryTally, StateTally, Tallies, verify


def state(connection: str, status: str, number: int, **fields: int) -> StateTally:
    with_code = number if status in ("sent", "failed") else 0
    values = {"with_code": with_code, "with_next_attempt": 0, "reassigned": 0, **fields}
    return StateTally(connection, status, number, **values)


GOOD = Tallies(
    campaign="spring",
    status=CampaignStatus.COMPLETED,
    is_held=False,
    read_rows=12,
    accepted=10,
    rejected={"duplicate": 1, "excluded": 0, "suppressed": 0, "invalid": 1},
    stored_rejects={"duplicate": 1, "invalid": 1},
    assigned={"a": 7, "b": 3},
    moved={},
    states=(state("a", "sent", 7), state("b", "sent", 2), state("b", "failed", 1)),
    unexplained_sent=0,
    repeated=0,
    stray_attempts=0,
)


def test_a_campaign_whose_numbers_add_up_is_conserved() -> None:
    verification = verify(GOOD)
    assert verification.is_conserved
    assert verification.summary() == "conserved: 10 accepted = 9 sent + 1 failed"


POOL = replace(
    GOOD,
    status=CampaignStatus.READY,
    is_pooled=True,
    assigned={"a": 0, "b": 0},
    states=(state("", "pending", 3), state("", "suppressed", 1), state("a", "sent", 6)),
)


@pytest.mark.parametrize(
    ("states", "found"),
    [
        (POOL.states, ""),
        (
            (*POOL.states[:2], state("", "sent", 6)),
            "6 recipients were sent to without a connection",
        ),
        (
            (*POOL.states[:2], state("c", "sent", 6)),
            "6 recipients are on connections without a route (c)",
        ),
    ],
    ids=["good", "without a connection", "a strange connection"],
)
def test_recipients_that_were_not_assigned_before_are_checked_by_themselves(
    states: tuple[StateTally, ...], found: str
) -> None:
    verification = verify(replace(POOL, states=states))
    assert "; ".join(map(str, verification.findings)) == found
    assert ("not claimed yet" in verification.markdown()) is True


def test_deliveries_and_those_not_known_yet_are_together_the_accepted_mail() -> None:
    known = (DeliveryTally("a", "delivered", 5), DeliveryTally("b", "bounced", 1))
    verification = verify(replace(GOOD, deliveries=known))
    assert verification.is_conserved
    assert verification.summary().endswith(
        "9 sent + 1 failed; by events, 9 accepted by servers ="
        " 5 delivered + 1 bounced + 3 unknown yet"
    )


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "a row that was read is neither accepted nor rejected": (
        {"read_rows": 13},
        1,
        "13 were read, but 12 accepted or rejected",
    ),
    "a reject is not stored": (
        {"stored_rejects": {"invalid": 1}},
        1,
        "1 were rejected as duplicate, but 0 are stored",
    ),
    "a reject has a reason nobody counted": (
        {"stored_rejects": {"duplicate": 1, "invalid": 1, "odd": 4}},
        4,
        "0 were rejected as odd, but 4 are stored",
    ),
    "a delivery of a recipient that the connection has not sent to": (
        {"deliveries": (DeliveryTally("b", "delivered", 3, strays=1),)},
        1,
        "on connection 'b' are of recipients that it has not sent to",
    ),
    "a delivery whose state no event has reported": (
        {"deliveries": (DeliveryTally("b", "bounced", 2, without_event=2),)},
        2,
        "on connection 'b' have a state that no event has reported",
    ),
    "an event that was not merged": ({"contradicted": 1}, 1, "does not take into account"),
    "a state that does not exist": (
        {"states": (state("a", "sent", 7), state("b", "gone", 3))},
        3,
        "in a state that does not exist",
    ),
    "an address twice": ({"repeated": 2}, 2, "have the address of another recipient"),
    "sent, and nobody knows why": ({"unexplained_sent": 2}, 2, "without a reply code"),
    "history of nobody": ({"stray_attempts": 5}, 5, "that do not exist"),
    "a completed campaign with somebody waiting": (
        {"states": (state("a", "sent", 7), state("b", "pending", 3))},
        3,
        "wait for a campaign that is completed",
    ),
    "a cancelled campaign with somebody waiting": (
        {
            "status": CampaignStatus.CANCELLED,
            "states": (state("a", "sent", 7), state("b", "pending", 3)),
        },
        3,
        "wait for a campaign that is cancelled",
    ),
    "deferred for ever": (
        {
            "status": CampaignStatus.READY,
            "states": (state("a", "sent", 7), state("b", "deferred", 3, with_next_attempt=1)),
        },
        2,
        "have no time for a next attempt",
    ),
    "sending, and no run": (
        {
            "status": CampaignStatus.SENDING,
            "states": (state("a", "sending", 7), state("b", "sent", 3)),
        },
        7,
        "no run holds the campaign",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_each_discrepancy_is_reported_alone_with_its_number(case: str) -> None:
    changes, number, what = WRONG[case]
    (finding,) = verify(replace(GOOD, **changes)).findings
    assert finding.number == number
    assert what in finding.what
    assert finding.advice


def test_a_lost_recipient_is_missing_in_the_sum_and_on_its_connection() -> None:
    verification = verify(replace(GOOD, states=(state("a", "sent", 6), state("b", "sent", 3))))
    assert [finding.number for finding in verification.findings] == [1, 1]
    assert verification.summary() == (
        "not conserved: 1 recipients differ: 10 were accepted, but 9 are stored; "
        "1 recipients differ on connection 'a': 7 were assigned, but 6 are stored there or "
        "recorded as moved"
    )


def test_recorded_moves_explain_recipients_on_other_connections() -> None:
    states = (state("a", "sent", 5), state("b", "sent", 4), state("c", "sent", 1))
    moved = replace(GOOD, states=states, moved={("a", "b"): 1, ("a", "c"): 1})
    assert verify(moved).is_conserved
    assert len(verify(replace(moved, moved={("a", "b"): 1})).findings) == 2


@pytest.mark.parametrize(("at_end", "found"), [(False, 0), (True, 1)])
def test_recipients_may_be_sending_during_a_run_but_not_at_its_end(
    at_end: bool, found: int
) -> None:
    sending = replace(
        GOOD,
        status=CampaignStatus.SENDING,
        is_held=True,
        states=(state("a", "sending", 7), state("b", "pending", 3)),
    )
    assert len(verify(sending, at_end_of_run=at_end).findings) == found


def test_a_launch_in_progress_has_no_discrepancies() -> None:
    launching = replace(
        GOOD, status=CampaignStatus.RESOLVING, read_rows=0, accepted=0, rejected={}, assigned={}
    )
    assert verify(launching).is_conserved


def test_the_page_lists_discrepancies_and_connections() -> None:
    page = verify(replace(GOOD, repeated=2, assigned={"a": 7, "b": 3, "c|d": 0})).markdown()
    assert "| recipients have the address of another recipient | 2 |" in page
    assert "| a | 7 | 0 | 0 | 7 |" in page
    assert "| c\\|d | 0 | 0 | 0 | 0 |" in page
    hostile = verify(replace(GOOD, assigned={"<b>*a*": 1})).markdown()
    assert "\n| \\<b\\>\\*a\\* | 1 |" in hostile
    moved = replace(GOOD, assigned={"a": 5, "b": 5}, moved={("b", "a"): 2})
    assert "| a | 5 | 0 | 2 | 7 |\n| b | 5 | 2 | 0 | 3 |" in verify(moved).markdown()
    assert "did not look" not in page
    assert "did not look" in verify(replace(GOOD, repeated=None)).markdown()
