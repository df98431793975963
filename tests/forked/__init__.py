"""Processes that start ready: forks of one that has imported Prefect, its server and the flows.

An interpreter spends 1.5 seconds of processor time on these imports, for Prefect's server 3.5, and
tests start dozens of processes. The one that is forked, the fork server of `multiprocessing`, has a
single thread. A fork has its own id, environment, session, signal handlers and exit status, and can
be killed like any other process; it differs from `python -m` in what is imported already.

`tests/served/test_login.py` starts an interpreter for `make serve`, and a worker of `tests/cluster`
does for one of its runs, as the product does.
"""

from tests.forked.process import Forked
from tests.forked.server import prefect_server
from tests.forked.settings import SERVER_SETTINGS

__all__ = ["SERVER_SETTINGS", "Forked", "prefect_server"]
