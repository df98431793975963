"""A flow for workers that runs until it is told to end."""

from __future__ import annotations

import time
from pathlib import Path

from prefect import flow

LOOK_SECONDS = 0.1


@flow(name="waiting")
def waiting(path: str) -> None:
    """Run until there is a file at `path`."""
    while not Path(path).exists():
        time.sleep(LOOK_SECONDS)
