"""The modules that a fork has imported before it starts."""

from __future__ import annotations

import gc
import os
from datetime import timedelta
from functools import partial
from importlib import import_module

import psutil

from tests.forked.settings import SERVER_SETTINGS

MODULES = [
    "prefect.artifacts",
    "prefect.deployments.flow_runs",
    "prefect.flow_engine",
    "prefect.runner",
    "prefect.server.api.server",
    "prefect.task_engine",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.websockets.auto",
    # What the programs of `deployments` import. The programs themselves run as `__main__`.
    "deployments.automations",
    "deployments.catalogue",
    "deployments.command.run",
    "deployments.prefect_server.blocks",
    "deployments.prefect_server.login",
    "deployments.prefect_server.sqlite",
    "deployments.register",
    "deployments.renaming",
    # What a campaign imports, some only when it needs it.
    "alembic.command",
    "anyio._backends._asyncio",
    "flows.send_campaign",
    "flows.send_connection",
    "mailsluice.assignment.placement",
    "mailsluice.audience.resolution",
    "mailsluice.delivery.engine",
    "mailsluice.reports.campaign.figures",
    "mailsluice.reports.campaign.file",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "pyarrow.compute",
    "pyarrow.parquet",
    "tasks.assign_connections",
    "tasks.report",
    "tasks.resolve_recipients",
    "tests.forked.process",
    "tests.integration.campaign_fixtures",  # runs on the engine alone
]

NO_THREADS = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # of pyarrow's allocator
    "OPENBLAS_NUM_THREADS": "1",  # of numpy's algebra
}
"""A process with several threads cannot be forked safely."""

os.environ.update(SERVER_SETTINGS | NO_THREADS)
for module in MODULES:
    import_module(module)
# Prefect's server has nothing to do for most of its life, and then two fifths of its processor time
# are the looks for due work, four a second. What is due at once does not wait for them.
background_workers = import_module("prefect.server.api.background_workers")
background_workers.Worker = partial(  # type: ignore[attr-defined]
    background_workers.Worker,
    minimum_check_interval=timedelta(seconds=1),
    scheduling_resolution=timedelta(seconds=1),
)
if psutil.Process().num_threads() > 1:
    raise RuntimeError("a module of tests.forked.imports starts a thread")
gc.collect()
gc.freeze()  # a collection would write to the memory that all forks share
