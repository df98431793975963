"""`make serve`: a Prefect server where none answers, the block types, the deployments served.

Uses the API that Prefect is set up for (PREFECT_API_URL, or the active profile), else
http://127.0.0.1:4200/api, where it starts a server and stops it at exit.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from urllib.parse import urlsplit

from prefect import serve
from prefect.blocks.core import Block
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.types.entrypoint import EntrypointType
from prefect_sqlalchemy import SqlAlchemyConnector

from blocks import SMTPConnection
from deployments.server import answers, exit_on_sigterm, prefect_server
from flows.send_campaign import send_campaign

LOCAL_API = "http://127.0.0.1:4200/api"
BLOCK_TYPES: tuple[type[Block], ...] = (SMTPConnection, SqlAlchemyConnector)


def main() -> None:
    """Serve until interrupted."""
    exit_on_sigterm()
    api_url = PREFECT_API_URL.value() or LOCAL_API
    with ExitStack() as stack:
        if not answers(api_url):
            _refuse_unless_local(api_url)
            stack.enter_context(prefect_server(api_url))
        stack.enter_context(temporary_settings({PREFECT_API_URL: api_url}))
        for block_type in BLOCK_TYPES:
            block_type.register_type_and_schema()
        print(f"Prefect UI: {api_url.removesuffix('/api')}  (Ctrl-C ends it)", flush=True)
        # By module: by path the file would load a second time, under another name.
        by_module = EntrypointType.MODULE_PATH
        deployment = asyncio.run(send_campaign.ato_deployment("default", entrypoint_type=by_module))
        serve(deployment, pause_on_shutdown=False, print_starting_message=False)


def _refuse_unless_local(api_url: str) -> None:
    if urlsplit(api_url).hostname not in {"127.0.0.1", "localhost", "::1"}:
        raise SystemExit(
            f"no Prefect server answers at {api_url}: start it there, or unset PREFECT_API_URL to "
            "have one started here"
        )


if __name__ == "__main__":
    main()
