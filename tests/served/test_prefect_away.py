"""The Prefect server restarts in the middle of a campaign: nothing lost, nothing twice.

What an operator changes afterwards counts, though the stream of events was cut off.
"""

from __future__ import annotations

from tests.campaign_processes import PATIENT, Prefect, Start, end_of, until_logged
from tests.eventually import eventually
from tests.smtpd import SmtpServer


def test_a_campaign_outlives_a_restart_of_the_prefect_server(
    prefect: Prefect, start: Start
) -> None:
    with SmtpServer() as smtp:
        smtp.hold(after=100)
        prefect.connect(smtp, **PATIENT)
        process = start("through a restart", 400)
        eventually(lambda: smtp.held, what="the campaign is in the middle")
        with prefect.away():
            smtp.release(until=250)
            eventually(lambda: len(smtp.received) > 250, what="it goes on without the server")
            assert len(smtp.received) < 300
        prefect.set(limit=1)
        prefect.save_block(smtp, per_second=500, **PATIENT)
        until_logged(process, "limit smtp-red is lower", "per_second none -> 500")
        smtp.release()
        state, log = end_of(process)
        assert state == "COMPLETED 400 of 400 sent", log
        assert prefect.taken() == 0  # its leases outlived the restart
        runs = [run for run in prefect.runs() if "through a restart" in run["name"]]
        assert [run["state_name"] for run in runs] == ["Completed", "Completed"]
        assert len(smtp.recipients) == 400
        assert set(smtp.recipients.values()) == {1}
