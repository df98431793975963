"""What is changed in a connection's block counts for the campaigns that run."""

from __future__ import annotations

from tests.campaign_processes import PATIENT, Prefect, Start, end_of
from tests.eventually import eventually
from tests.smtpd import SmtpServer


def test_limits_changed_in_the_block_hold_for_a_running_campaign(
    prefect: Prefect, start: Start
) -> None:
    with SmtpServer() as smtp:
        smtp.hold(after=5)
        prefect.connect(smtp, max_sessions=1, per_second=10, **PATIENT)
        process = start("slow", 200)
        eventually(lambda: smtp.held == 1, what="the one session is in the middle of a message")
        prefect.set(limit=3)
        prefect.save_block(smtp, max_sessions=3, **PATIENT)
        eventually(lambda: smtp.held == 3, what="three sessions are")
        smtp.release()
        state, log = end_of(process)
        assert state == "COMPLETED 200 of 200 sent", log
        assert smtp.most_open == 3
        assert set(smtp.recipients.values()) == {1}
    assert "connection red: max_sessions 1 -> 3, per_second 10 -> none" in log
    assert prefect.taken() == 0
