"""What is changed in a connection's block counts for the campaigns that run."""

from __future__ import annotations

from tests.campaign_processes import Prefect, Start, end_of
from tests.eventually import eventually
from tests.smtpd import Settings, SmtpServer


def test_limits_changed_in_the_block_hold_for_a_running_campaign(
    prefect: Prefect, start: Start
) -> None:
    with SmtpServer(Settings(delay_seconds=0.01)) as smtp:  # one session alone takes 20 s and more
        prefect.connect(smtp, max_sessions=1, per_second=10)
        process = start("slow", 2_000)
        eventually(lambda: len(smtp.received), lambda seen: seen >= 20)
        prefect.set(limit=3)
        prefect.save_block(smtp, max_sessions=3)
        state, log = end_of(process)
        assert state == "COMPLETED 2,000 of 2,000 sent", log
        assert smtp.most_open == 3
        assert set(smtp.recipients.values()) == {1}
    assert "connection red: max_sessions 1 -> 3, per_second 10 -> none" in log
    assert prefect.taken() == 0
