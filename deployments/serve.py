"""`make serve`: start a Prefect server if none answers, register block types, serve deployments.

The API is that of Prefect's settings (PREFECT_API_URL or the active profile) or else
http://127.0.0.1:4200/api. If no server answers there, one is started, and stopped at exit.
`--login` makes that server require a login; `--host` makes it listen beyond this machine, which
requires a login too.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

from prefect import serve
from prefect.deployments.runner import RunnerDeployment
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    temporary_settings,
)
from prefect.types.entrypoint import EntrypointType

from deployments import automations
from deployments.catalogue import Deployed, catalogue
from deployments.metrics_endpoint import Endpoint, EndpointError
from deployments.prefect_server.login import server_login
from deployments.prefect_server.same_origin import LOOPBACK
from deployments.register import BLOCK_TYPES, HEARTBEAT_SECONDS
from deployments.renaming import outdated, replace_old
from deployments.server import LOCAL_API, answers, exit_on_sigterm, prefect_server
from mailsluice.core.private import warn_of_open
from mailsluice.metrics.app import MetricsApp
from mailsluice.metrics.state import StateMetrics
from mailsluice.store import home


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted; `arguments` are those of the command line by default."""
    os.umask(0o077)  # also for what Prefect writes for its runs
    warn_of_open([PREFECT_HOME.value(), home()])
    exit_on_sigterm()
    given = _options(arguments)
    api_url = _api_url(given.host)
    heartbeat = int(os.environ.get("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", HEARTBEAT_SECONDS))
    settings = {PREFECT_API_URL: api_url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: heartbeat}
    with ExitStack() as stack:
        if given.metrics_port is not None:
            _serve_metrics(given.metrics_port, stack)
        if answers(api_url):
            _refuse_options(api_url, given)
        else:
            _refuse_unless_local(api_url, given)
            environment = {}
            if auth := server_login(api_url, wanted=given.login):
                settings[PREFECT_API_AUTH_STRING] = auth
                environment["PREFECT_SERVER_API_AUTH_STRING"] = auth
            print("Starting a Prefect server ...", flush=True)
            # Warnings go to the terminal, because the newer UI does not show why a request failed.
            stack.enter_context(prefect_server(api_url, environment, log=sys.stderr.buffer))
        stack.enter_context(temporary_settings(settings))
        for block_type in BLOCK_TYPES:
            block_type.register_type_and_schema()
        ui_url = api_url.removesuffix("/api")
        print(f"Prefect UI: {ui_url}  (Ctrl-C ends it)", flush=True)
        print(f"Plans, progress and reports: {ui_url}/v2/artifacts", flush=True)
        asyncio.run(automations.install())
        serve(*asyncio.run(_deployments()), pause_on_shutdown=False, print_starting_message=False)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make serve", description="For example SERVE='--login'.")
    parser.add_argument("--login", action="store_true", help="make the server require a login")
    parser.add_argument(
        "--host",
        help="the name or address at which others open the UI: the server listens there instead of"
        " on loopback only, and requires a login",
    )
    parser.add_argument(
        "--metrics-port",
        type=int,
        help="answer Prometheus at this port, on loopback, at /metrics",
    )
    return parser.parse_args(arguments)


def _serve_metrics(port: int, stack: ExitStack) -> None:
    """Answer Prometheus beside everything else."""
    try:
        endpoint = Endpoint(MetricsApp(StateMetrics()), "127.0.0.1", port)
    except EndpointError as error:
        raise SystemExit(str(error)) from None
    stack.enter_context(endpoint.beside())
    print(f"Metrics: {endpoint.url}", flush=True)


def _api_url(host: str | None) -> str:
    """The URL of the present or future API."""
    api_url = PREFECT_API_URL.value() or LOCAL_API
    if host is None:
        return api_url
    with suppress(ValueError):  # a name
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            raise SystemExit(
                f"--host {host} stands for every address of this machine: give the address at which"
                " others open the UI"
            )
        host = f"[{host}]" if address.version == 6 else host
    return f"http://{host}:{urlsplit(api_url).port or 4200}/api"


async def _deployments() -> list[RunnerDeployment]:
    deployed = catalogue()
    deployments = {deployment.full_name: await _deployment(deployment) for deployment in deployed}
    if old := await outdated(deployed):
        for deployment in old:
            await deployments[
                deployment.full_name
            ].aapply()  # the new one must exist before the old one is deleted
        await replace_old(old)
    return [*deployments.values()]


async def _deployment(deployment: Deployed) -> RunnerDeployment:
    return await deployment.flow.ato_deployment(
        deployment.name,
        description=deployment.description,
        tags=[*deployment.tags],
        # A file path would load the module a second time, under another name.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def _refuse_options(api_url: str, given: argparse.Namespace) -> None:
    if given.login or given.host:
        raise SystemExit(
            f"a Prefect server already answers at {api_url}: stop it to start one with these"
            " options, or omit the options to use it"
        )


def _refuse_unless_local(api_url: str, given: argparse.Namespace) -> None:
    if not given.host and urlsplit(api_url).hostname not in LOOPBACK:
        raise SystemExit(
            f"no Prefect server answers at {api_url}: start it there, or unset PREFECT_API_URL to "
            "start one here"
        )


if __name__ == "__main__":
    main()
