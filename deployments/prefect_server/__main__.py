"""`python -m deployments.prefect_server --port 4200`: the server of `make serve` and `make demo`.

The server differs from that of `prefect server start` in four ways: `SameOrigin` checks requests,
`Previews` shows previews of messages, `check_blocks` checks Mailsluice's blocks before they are
stored, and `WriteQueue` lets writes to SQLite wait for each other.
"""

from __future__ import annotations

import argparse

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database.dependencies import set_database_config
from prefect.server.utilities.database import get_dialect
from prefect.settings import (
    PREFECT_API_DATABASE_CONNECTION_URL,
    PREFECT_SERVER_API_KEEPALIVE_TIMEOUT,
    PREFECT_SERVER_API_WEBSOCKET_PING_INTERVAL,
    PREFECT_SERVER_API_WEBSOCKET_PING_TIMEOUT,
    PREFECT_SERVER_LOGGING_LEVEL,
)
from starlette.types import ASGIApp

from deployments.prefect_server.blocks import check_blocks
from deployments.prefect_server.previews import Previews
from deployments.prefect_server.same_origin import SameOrigin
from deployments.prefect_server.sqlite import WriteQueue


def prefect_app(host: str) -> ASGIApp:
    """Build the application that answers at `host`, a name or an address.

    Prefect's own services and automations call the inner application directly, because their
    requests name no host that could be checked.
    """
    database_url = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if get_dialect(database_url).name == "sqlite":
        set_database_config(WriteQueue(database_url))
    check_blocks()
    return SameOrigin(Previews(create_app(final=True)), host=host)


def main() -> None:
    """Serve until a signal ends the process."""
    parser = argparse.ArgumentParser(prog="python -m deployments.prefect_server")
    parser.add_argument("--host", default="127.0.0.1", help="name or address to listen on")
    parser.add_argument("--port", default=4200, type=int)
    given = parser.parse_args()
    uvicorn.run(
        prefect_app(given.host),
        host=given.host,
        port=given.port,
        timeout_keep_alive=PREFECT_SERVER_API_KEEPALIVE_TIMEOUT.value(),
        ws_ping_interval=PREFECT_SERVER_API_WEBSOCKET_PING_INTERVAL.value(),
        ws_ping_timeout=PREFECT_SERVER_API_WEBSOCKET_PING_TIMEOUT.value(),
        log_level=PREFECT_SERVER_LOGGING_LEVEL.value().lower(),
    )


if __name__ == "__main__":
    main()
