"""`make demo`: a real campaign through two local SMTP servers, sent by the real flow.

The Prefect server, the SQLite database and the SMTP servers on loopback are temporary: nothing is
left running or on the disk.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, chdir, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from aiosmtpd.controller import Controller

from deployments.server import exit_on_sigterm, free_port, prefect_server
from mailsluice.campaign import Campaign
from mailsluice.smtp.connection import Security

ROOT = Path(__file__).resolve().parent.parent


class Inbox:
    """Counts the messages that an SMTP server of the demo received, by recipient."""

    def __init__(self) -> None:
        self.received: Counter[str] = Counter()

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802
        """Count a message; aiosmtpd finds this method by its name."""
        self.received.update(envelope.rcpt_tos)
        return "250 2.0.0 accepted"


@contextmanager
def smtp_server() -> Iterator[tuple[int, Inbox]]:
    """Run an SMTP server that counts messages, on a free port of the loopback interface."""
    inbox, port = Inbox(), free_port()
    controller = Controller(inbox, hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
    controller.start()
    try:
        yield port, inbox
    finally:
        controller.stop()


async def send(campaign: Campaign, ports: Mapping[str, int]) -> None:
    """Save the connections as blocks and run the flow."""
    # Prefect reads its settings at import, so the environment must be set first.
    from prefect.logging.handlers import APILogHandler

    from blocks import CampaignForm, SMTPConnection
    from flows.send_campaign import send_campaign

    for name, port in ports.items():
        block = SMTPConnection(host="127.0.0.1", port=port, security=Security.NONE)
        await block.save(name)
    try:
        await send_campaign(CampaignForm.model_validate(campaign))
    finally:
        await APILogHandler.aflush()  # while the server still runs


def report(campaign: Campaign, inboxes: Mapping[str, Inbox]) -> bool:
    """Print what each server received. True when every recipient got exactly one message."""
    received = {name: inbox.received.total() for name, inbox in inboxes.items()}
    by_recipient = sum((inbox.received for inbox in inboxes.values()), Counter[str]())
    total = max(by_recipient.total(), 1)
    print(f"\n{'server':<10}{'received':>10}{'share':>10}{'asked for':>12}")
    for name, share in campaign.shares(datetime.now(UTC).date()).items():
        print(f"{name:<10}{received[name]:>10,}{received[name] / total:>10.1%}{share:>12.1%}")
    twice = sum(number > 1 for number in by_recipient.values())
    print(f"{len(by_recipient):,} recipients; {twice:,} of them got more than one message")
    return bool(by_recipient) and twice == 0


def main() -> int:
    """Run the demo; returns 0 when every recipient got exactly one message."""
    os.umask(0o077)
    exit_on_sigterm()
    campaign = Campaign(**yaml.safe_load((ROOT / "examples/campaign.yaml").read_text("utf-8")))
    api_url = f"http://127.0.0.1:{free_port()}/api"
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="mailsluice-demo-"))
        os.environ |= {"PREFECT_API_URL": api_url, "PREFECT_HOME": home, "MAILSLUICE_HOME": home}
        os.environ.pop("MAILSLUICE_DATABASE_URL", None)
        stack.enter_context(chdir(ROOT))
        servers = {
            route.connection: stack.enter_context(smtp_server()) for route in campaign.routes
        }
        print("Starting a Prefect server, which ends with the demo ...", flush=True)
        stack.enter_context(prefect_server(api_url))
        asyncio.run(send(campaign, {name: port for name, (port, _) in servers.items()}))
        return 0 if report(campaign, {name: inbox for name, (_, inbox) in servers.items()}) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; nothing is left running")
