"""Settings and hooks of all tests."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import delays, fork_server, measuring
from tests.groups import pytest_collection_modifyitems
from tests.thorough import examples

__all__ = ["pytest_collection_modifyitems"]

# Tests start dozens of processes. uv installs packages without bytecode, and each process would
# compile Prefect again if bytecode is not written: that doubles the processor time of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Each client of httpx, five in a run, spends 18 ms of processor time on reading the world's
# certificate authorities, although the test servers speak HTTP: one authority is read at once.
AUTHORITY = str(Path(__file__).with_name("authority.pem"))
os.environ |= {"SSL_CERT_FILE": AUTHORITY, "PREFECT_API_SSL_CERT_FILE": AUTHORITY}

# No test asks the name servers of the machine about the domains of its mail.
os.environ["MAILSLUICE_DNS_CHECKS"] = "off"

# Prefect starts no server for a test that has none: the test fails.
os.environ["PREFECT_SERVER_EPHEMERAL_ENABLED"] = "false"

# Folders of tests are in memory where it has room: no commit of a test waits for a disk.
MEMORY, ROOM = "/dev/shm", 4 * 2**30
if Path(MEMORY).is_dir() and shutil.disk_usage(MEMORY).free > ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)

# No test fails on a clock.
settings.register_profile(
    "mailsluice",
    deadline=None,
    max_examples=examples(),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("mailsluice")


def pytest_configure(config: pytest.Config) -> None:
    """Start what the whole run needs."""
    measuring.register(config)
    fork_server.register(config)
    delays.register(config)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while modules are imported, nor what they hold: a million objects.

    During the tests it is collected less often than usual, which saves a twelfth of their time.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        gc.enable()


@pytest.fixture(autouse=True)
def same_umask() -> Iterator[None]:
    """Undo what a command changes for its own process: servers that start later share files."""
    before = os.umask(0o022)
    os.umask(before)
    yield
    os.umask(before)
