"""Run the failed tests of the last run once more, in CI: `python -m tests.rerun`.

Tests that start servers, browsers or clusters share a machine whose speed nobody controls. One or
two of them that fail, and pass when run again alone, do not fail the run: the last lines name them
as FLAKY, and the next change fixes them. A failed unit or integration test always fails the run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MAY_RUN_AGAIN = (
    "tests/flows/",
    "tests/served/",
    "tests/browser/",
    "tests/cluster/",
    "tests/chaos/",
)
AT_MOST = 2
LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")
_GROUP = re.compile(r"@[\w-]+$")
"""What pytest-xdist adds to the name of a test that belongs to a group."""


def refusal(failed: Sequence[str]) -> str | None:
    """Say why these failed tests may not run again; None where they may."""
    if not failed:
        return "The run failed, but not by a test: see above"
    if len(failed) > AT_MOST:
        return f"{len(failed)} tests failed: at most {AT_MOST} may run again"
    strict = [test for test in failed if not test.startswith(MAY_RUN_AGAIN)]
    if strict:
        return f"Tests that may not run again failed: {', '.join(strict)}"
    return None


def main() -> int:
    """Run them again; the exit status says whether the run passes."""
    noted = json.loads(LAST_FAILED.read_text()) if LAST_FAILED.exists() else {}
    failed = sorted(_GROUP.sub("", test) for test in noted)
    if reason := refusal(failed):
        print(reason)
        return 1
    print(f"Running again, alone: {', '.join(failed)}", flush=True)
    status = subprocess.run([sys.executable, "-m", "pytest", *failed], check=False).returncode
    if status == 0:
        print("\n".join(f"FLAKY {test}" for test in failed))
    return status


if __name__ == "__main__":
    sys.exit(main())
