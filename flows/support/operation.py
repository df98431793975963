"""The one way to define a flow: form labels, a clear end whatever fails, the state database."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec

from prefect import Flow, flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.utilities.hashing import file_hash

from flows.support.console import outlive_console
from flows.support.failing import TROUBLE, failed
from flows.support.labels import labelled
from mailsluice.store import Database
from mailsluice.store.trouble import RETRY

_P = ParamSpec("_P")
_Body = Callable[_P, Awaitable[State[Any]]]


def operation(
    name: str, *, run_name: str | Callable[[], str], then: str = RETRY
) -> Callable[[_Body[_P]], Flow[_P, Coroutine[Any, Any, Any]]]:
    """Make an async function a flow that ends Failed, with what to do, where it meets trouble.

    Trouble is any of `failing.TROUBLE`: an error of ours, a lost database, a file that cannot be
    used. Other errors are faults of the program and keep their traceback.

    Args:
        name: The flow's name.
        run_name: The name of its runs, as Prefect's `flow_run_name`.
        then: The sentence that says how to continue after a passing trouble.
    """

    def decorate(body: _Body[_P]) -> Flow[_P, Coroutine[Any, Any, Any]]:
        @wraps(body)
        async def run(*args: _P.args, **kwargs: _P.kwargs) -> State[Any]:
            outlive_console()
            try:
                return await body(*args, **kwargs)
            except TROUBLE as error:
                return failed(error, then)

        # Prefect evaluates annotations that are strings among the names of this module.
        signature = inspect.signature(body, eval_str=True)
        run.__signature__ = signature  # type: ignore[attr-defined]  # inspect looks for it
        # By default the version is a hash of the file that the wrapper is in.
        version = file_hash(inspect.getfile(body))
        make = flow(name=name, version=version, flow_run_name=run_name, persist_result=False)
        made: Flow[_P, Coroutine[Any, Any, Any]] = make(run)
        return labelled(made)

    return decorate


@asynccontextmanager
async def state_database() -> AsyncIterator[Database]:
    """Open the state database, migrated where that is due, and close it at the end."""
    database = await asyncio.to_thread(Database)
    try:
        yield database
    finally:
        await asyncio.to_thread(database.close)


def run_owner() -> str:
    """Name the present run, for what it holds: its name and id."""
    return f"{flow_run.get_name()} ({flow_run.get_id()})"
