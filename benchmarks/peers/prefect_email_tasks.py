"""prefect-email as its documentation shows it: a task run a message. Runs in a venv of its own."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from prefect import flow
from prefect.task_runners import ThreadPoolTaskRunner
from prefect_email import (  # type: ignore[import-not-found]  # in a venv of its own
    EmailServerCredentials,
    email_send_message,
)


@flow(name="prefect-email")
def send(task: dict[str, Any]) -> None:
    """Submit a task a message, alternately to the servers, and wait for all of them."""
    servers = [
        EmailServerCredentials(
            smtp_server="127.0.0.1", smtp_type="INSECURE", smtp_port=port, verify=False
        )
        for port in task["ports"]
    ]
    runs = [
        email_send_message.submit(
            email_server_credentials=servers[number % len(servers)],
            subject=task["parts"]["subject"],
            msg=task["parts"]["html"],
            msg_plain=task["parts"]["text"],
            email_from="news@example.com",
            email_to="user@example.com",
        )
        for number in range(task["messages"])
    ]
    for run in runs:
        run.result()


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    started, cpu = time.monotonic(), time.process_time()
    runner: Any = ThreadPoolTaskRunner(max_workers=job["sessions"])
    send.with_options(task_runner=runner)(job)
    print(
        "\n"
        + json.dumps(
            {"seconds": time.monotonic() - started, "cpu_seconds": time.process_time() - cpu}
        )
    )
