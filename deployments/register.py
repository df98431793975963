"""`python -m deployments.register`: prepare a Prefect server for campaigns.

Registers the work pool, the block types, the automations and a deployment of each flow
(prefect.yaml). Run this command again after an update; operators' changes (schedules, limits,
disabled automations) stay.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import chdir, suppress
from pathlib import Path

from prefect.blocks.core import Block
from prefect.cli import app
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.workers.process import ProcessWorker
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks import ListStorage, Mailbox, SMTPConnection
from deployments import automations
from deployments.catalogue import catalogue
from deployments.renaming import replace_old

POOL = "mailsluice"
BLOCK_TYPES: tuple[type[Block], ...] = (
    SMTPConnection,
    Mailbox,
    ListStorage,
    SqlAlchemyConnector,
)
HEARTBEAT_SECONDS = 30
"""Seconds between a run's heartbeats, here and in prefect.yaml; after three missing heartbeats the
run is started again."""
_ROOT = Path(__file__).resolve().parents[1]


async def register() -> None:
    """Register everything except the deployments."""
    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(name=POOL, type=ProcessWorker.type, base_job_template=template)
    async with get_client() as client:
        with suppress(ObjectAlreadyExists):
            await client.create_work_pool(pool)
    for block_type in BLOCK_TYPES:
        await block_type.aregister_type_and_schema()
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: HEARTBEAT_SECONDS}):
        await automations.install()


def deploy() -> int:
    """Run `prefect deploy --all` in this process; returns its exit status.

    A second process would need seconds to load Prefect and the flows again.
    """
    os.environ["MAILSLUICE_CHECKOUT"] = os.environ.get("MAILSLUICE_CHECKOUT") or str(_ROOT)
    sys.argv[1:] = ["--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml"]
    with chdir(_ROOT):
        try:
            app()
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
    return 0


def main() -> None:
    """Register everything; exit with an error when a part fails."""
    asyncio.run(register())
    status = deploy()
    if status == 0:
        for name in asyncio.run(replace_old(catalogue())):
            print(f"{name} was replaced by a deployment with a name of its own")
    raise SystemExit(status)


if __name__ == "__main__":
    main()
