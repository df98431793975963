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
    interpreter, *arguments = command
    if interpreter != sys.executable:
        return subprocess.Popen(command, **options)
    if arguments[:3] == ["-m", "prefect", "worker"]:
        arguments[1] = "tests.forked.worker"  # its runs are forks, too
    process = Forked([interpreter, *arguments], **options)
    process.stdin = Path(os.devnull).open("wb")  # noqa: SIM115 - closed by the caller, as a pipe
    return process
