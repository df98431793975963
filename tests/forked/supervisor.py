"""The process of a run on a worker: it prepares the workspace, then becomes Prefect's engine.

Prefect has it become the engine by a new interpreter; here the same process goes on.
"""

from __future__ import annotations

import os
from typing import NoReturn
from unittest.mock import patch

from prefect.runner import _workspace_supervisor

from tests.forked.process import execute


class _BecomesError(BaseException):
    """The command and environment with which the process goes on; no handler of errors is meant."""


def _become(_: str, command: list[str], environment: dict[str, str]) -> NoReturn:
    raise _BecomesError(command, environment)


def main() -> None:
    """Run the supervisor, and then the engine."""
    try:
        with patch("os.execvpe", _become):
            raise SystemExit(_workspace_supervisor.main())
    except _BecomesError as becomes:
        (_, *arguments), environment = becomes.args
    os.environ.clear()
    os.environ.update(environment)
    execute(arguments)


if __name__ == "__main__":
    main()
