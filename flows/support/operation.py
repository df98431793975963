"""How every flow is defined: form labels, a final state with a message, the state database."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec

from prefect import Flow, flow
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.utilities.hashing import file_hash

from flows.support.console import outlive_console
from flows.support.failing import TROUBLE, failed
from flows.support.labels import labelled
from flows.support.tags import tagged
from mailsluice.store import Database
from mailsluice.store.trouble import RETRY

_P = ParamSpec("_P")
_Body = Callable[_P, Awaitable[State[Any]]]


def operation(
    name: str, *, run_name: str | Callable[[], str], then: str = RETRY
) -> Callable[[_Body[_P]], Flow[_P, Coroutine[Any, Any, Any]]]:
    """Make an async function a flow that ends Failed, with what to do, when something fails.

    This handles `failing.TROUBLE`: an error of Mailsluice, a lost database, an unusable file. Other
    errors are bugs, and keep their traceback.

    Args:
        name: The flow's name.
        run_name: The name of its runs, as Prefect's `flow_run_name`.
        then: The sentence that says how to continue after a temporary failure.
    """

    def decorate(body: _Body[_P]) -> Flow[_P, Coroutine[Any, Any, Any]]:
        # Prefect would evaluate annotations that are strings among the names of this module.
        signature = inspect.signature(body, eval_str=True)

        @wraps(body)
        async def run(*args: _P.args, **kwargs: _P.kwargs) -> State[Any]:
            outlive_console()
            try:
                async with tagged(signature.bind(*args, **kwargs).arguments):
                    return await body(*args, **kwargs)
            except TROUBLE as error:
                return failed(error, then)

        run.__signature__ = signature  # type: ignore[attr-defined]  # read by inspect
        # By default the version is a hash of this file.
        version = file_hash(inspect.getfile(body))
        make = flow(name=name, version=version, flow_run_name=run_name, persist_result=False)
        made: Flow[_P, Coroutine[Any, Any, Any]] = make(run)
        return labelled(made)

    return decorate


@asynccontextmanager
async def state_database() -> AsyncIterator[Database]:
    """Open the state database, migrate it if necessary, and close it at the end."""
    database = await asyncio.to_thread(Database)
    try:
        yield database
    finally:
        await asyncio.to_thread(database.close)


def run_owner() -> str:
    """The current run's name and id, as the owner of what it holds."""
    return f"{flow_run.get_name()} ({flow_run.get_id()})"


def is_deployed() -> bool:
    """Whether the current run belongs to a deployment.

    `prefect.runtime.deployment` would read the run from the server, while the event loop waits.
    """
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    return run is not None and run.deployment_id is not None
