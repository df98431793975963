"""The Prefect server restarts in the middle of a campaign: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import SMTPConnection
from deployments.server import free_port, prefect_server
from tests.eventually import eventually
from tests.serving import CsrfToken
from tests.smtpd import SmtpServer

RUN = """
import asyncio, json, sys
from flows.send_campaign import send_campaign
state = asyncio.run(send_campaign(json.loads(sys.argv[1]), return_state=True))
print(state.type.value, state.message)
"""


def test_a_campaign_outlives_a_restart_of_the_prefect_server(tmp_path: Path) -> None:
    api = f"http://127.0.0.1:{free_port()}/api"
    environment = {
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "MAILSLUICE_HOME": str(tmp_path / "mailsluice"),
    }
    csv = tmp_path / "recipients.csv"
    csv.write_text("email\n" + "".join(f"user{i}@example.com\n" for i in range(400)))
    campaign = {
        "name": "through a restart",
        "recipients": {"path": str(csv)},
        "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
        "routes": [{"connection": "red"}],
        "throttle": {"per_second": 50},
    }
    with SmtpServer() as smtp:
        with prefect_server(api, environment):
            with temporary_settings({PREFECT_API_URL: api}):
                block = SMTPConnection(host=smtp.host, port=smtp.port, security="none")
                block.save("red", _sync=True)  # type: ignore[call-arg]
            process = subprocess.Popen(
                [sys.executable, "-c", RUN, json.dumps(campaign)],
                env=os.environ | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            eventually(lambda: len(smtp.received), lambda seen: seen >= 100 or process.poll())
        try:
            at_restart = len(smtp.received)
            assert at_restart < 300
            eventually(
                lambda: len(smtp.received), lambda seen: seen >= at_restart + 50
            )  # it goes on
            with prefect_server(api, environment):
                output, _ = process.communicate(timeout=120)
                assert output.splitlines()[-1] == "COMPLETED 400 of 400 sent"
                limit = httpx.get(f"{api}/v2/concurrency_limits/smtp-red").raise_for_status().json()
                assert limit["active_slots"] == 0  # its leases outlived the restart
                asked = httpx.post(f"{api}/flow_runs/filter", json={}, auth=CsrfToken())
                runs = asked.raise_for_status().json()
        finally:
            process.kill()
            process.wait()
        assert [run["state_name"] for run in runs] == ["Completed", "Completed"]
        assert len(smtp.recipients) == 400
        assert set(smtp.recipients.values()) == {1}
