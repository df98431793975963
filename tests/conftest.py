"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import sys

from hypothesis import settings

from tests.groups import pytest_collection_modifyitems

__all__ = ["pytest_collection_modifyitems"]

# Tests start dozens of processes. uv installs packages without bytecode, and each process would
# compile Prefect anew where bytecode is not written: that doubles the processor time of its start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

settings.register_profile("mailsluice", deadline=None)  # no test fails on a clock
settings.load_profile("mailsluice")


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collection: modules of a million objects never die."""
    gc.collect()
    gc.freeze()
