"""Commands that plan and send a campaign, and start its run in Prefect."""

from __future__ import annotations

import asyncio
import json as json_text
import logging
import signal
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.command.connections import load, prefect
from deployments.command.output import (
    INTERRUPTED,
    WAITING,
    AsJson,
    Flag,
    progress_bars,
    show,
    show_page,
)
from deployments.command.status import show_report

if TYPE_CHECKING:
    from mailsluice import Campaign, Connection, Report


def plan(file: Path, /, *, preview: Flag = False, json: AsJson = False) -> None:
    """Show what a campaign would do, without sending or storing anything.

    Args:
        file: The campaign document, YAML or JSON.
        preview: Also write the message, as a few recipients would get it, into a file of HTML.
        json: Print JSON instead of text.
    """
    import mailsluice
    from mailsluice.operations.preview.file import write_preview

    document = mailsluice.read_campaign(file)
    connections = load(route.connection for route in document.routes)
    result = mailsluice.plan(document, connections, **_sources(document))
    line = ""
    if preview and result.messages is not None:
        path = write_preview(result.messages)
        line = f"The message as a few recipients would get it is in `{path}`: open it in a browser."
    page = result.markdown(preview_line=line)
    show_page(page, replace(result, messages=None), as_json=json)


def send(file: Path, /, *, deployment: Flag = False, json: AsJson = False) -> int:
    """Send a campaign from this process, or continue it where it stopped.

    Ctrl-C and SIGTERM let messages in flight finish; the same command continues the campaign. A
    connection's max_sessions counts the sessions of this process only; runs in Prefect share it.

    Args:
        file: The campaign document, YAML or JSON.
        deployment: Start a run of the deployment send-campaign/default instead, and wait for its
            end. Paths of files are then those of the machine that serves the deployment.
        json: Print JSON instead of text.
    """
    import mailsluice

    document = mailsluice.read_campaign(file)
    if deployment:
        return _through_prefect(document, as_json=json)
    connections = load(route.connection for route in document.routes)
    sources = _sources(document)
    with prefect(), progress_bars() as draw:
        try:
            result = asyncio.run(_send(document, connections, **sources, on_progress=draw))
        except asyncio.CancelledError:  # by SIGTERM
            raise KeyboardInterrupt from None
    show_report(result, as_json=json)
    if not (result.open or result.sent_now or json):
        print("Nothing was sent: no recipient was waiting.")
    return WAITING if result.open else 0


def _sources(document: Campaign) -> dict[str, Any]:
    """Load what the sources name, as `mailsluice.send` takes it."""
    from blocks.loading import load_engines, load_storages

    if not (document.databases or document.storages):
        return {}
    with prefect():
        engines = asyncio.run(load_engines(document.databases))
        storages = asyncio.run(load_storages(document.storages))
    return {"engines": engines, "storages": storages.values()}


async def _send(document: Campaign, connections: list[Connection], **options: Any) -> Report:
    """Send a campaign; SIGTERM cancels the sending.

    Refresh tokens that are replaced are saved into their connections' blocks.
    """
    import mailsluice
    from flows.support.rotated_tokens import keep_rotated_tokens
    from mailsluice.oauth.tokens import Tokens

    tokens = Tokens()
    async with keep_rotated_tokens(tokens, logging.getLogger(__name__)):
        sending = asyncio.ensure_future(
            mailsluice.send_async(
                document, connections, on_refresh_token=tokens.on_rotated, **options
            )
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, sending.cancel)
        return await sending


def _through_prefect(document: Campaign, *, as_json: bool) -> int:
    from prefect.deployments import run_deployment
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
    from prefect.flow_runs import wait_for_flow_run
    from prefect.utilities.urls import url_for

    from mailsluice.core.errors import MailsluiceError

    parameters = {"campaign": as_numbers(document)}
    with prefect():
        try:
            run: Any = run_deployment("send-campaign/default", parameters=parameters, timeout=0)
        except (ObjectNotFound, PrefectHTTPStatusError) as error:
            raise MailsluiceError(_why_no_run(error)) from error
        url = url_for("flow-run", run.id)
        print(f"The run in Prefect: {url or run.id}", file=sys.stderr)
        try:
            ended: Any = asyncio.run(wait_for_flow_run(run.id))
        except KeyboardInterrupt:
            print("mailsluice: this command ends; the run continues in Prefect", file=sys.stderr)
            return INTERRUPTED
    state = ended.state
    values = {"run": str(run.id), "url": url, "state": state.name, "message": state.message}
    show(f"{state.name}: {state.message}", values, as_json=as_json)
    if state.is_crashed():
        print(
            "mailsluice: Prefect starts a crashed run again within two minutes, as a rule: see the"
            " run's page; if it stays Crashed, run the same command again",
            file=sys.stderr,
        )
    return 0 if state.is_completed() else 1


def as_numbers(document: Campaign) -> dict[str, Any]:
    """Return a campaign as JSON values; percentages are numbers, as the deployment demands."""
    from pydantic_core import to_jsonable_python

    def plain(value: object) -> object:
        return float(value) if isinstance(value, Decimal) else to_jsonable_python(value)

    values = document.model_dump(exclude_unset=True)
    numbers: dict[str, Any] = json_text.loads(json_text.dumps(values, default=plain))
    return numbers


def _why_no_run(error: Exception) -> str:
    """Say why Prefect did not create a run of the deployment, and what to do."""
    from prefect.exceptions import PrefectHTTPStatusError

    if not isinstance(error, PrefectHTTPStatusError):
        return (
            "the Prefect server has no deployment send-campaign/default: start `mailsluice serve`,"
            " or deploy it"
        )
    try:
        detail = error.response.json()["detail"]
    except (ValueError, LookupError, TypeError):
        detail = error.response.text[:500]
    return (
        f"the Prefect server does not start the run ({error.response.status_code}): {detail}"
        " - correct the campaign, or update the server's deployments to this version"
    )


COMMANDS = (plan, send)
