"""What a fork has imported before it starts. No module of this list starts a thread."""

from __future__ import annotations

import gc
import os
from importlib import import_module

from tests.forked.settings import SERVER_SETTINGS

MODULES = [
    "prefect.flow_engine",
    "prefect.runner",
    "prefect.server.api.server",
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
    "tests.forked.process",
]

os.environ.update(SERVER_SETTINGS)
for module in MODULES:
    import_module(module)
gc.collect()
gc.freeze()  # a collection would write to the memory that all forks share
