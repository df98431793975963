"""Members of a cluster that are forks, where `start_member` stands for `member.Popen`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.forked.process import Forked


def start_member(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start the command: a fork for `python -m ...`, without standard input, else a new program."""
    if command[0] != sys.executable:
        return subprocess.Popen(command, **options)
    process = Forked(command, **options)
    process.stdin = Path(os.devnull).open("wb")  # noqa: SIM115 - closed by the caller, as a pipe
    return process
