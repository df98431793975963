"""Commands about campaigns: plan, send, watch, report, resolve, decide, cancel."""

from __future__ import annotations

import asyncio
import json as json_text
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from deployments.command.connections import load, prefect
from deployments.command.output import (
    INTERRUPTED,
    WAITING,
    AsJson,
    Flag,
    progress_bars,
    show,
    show_page,
    show_table,
)
from deployments.command.status import report_values, show_report, status

if TYPE_CHECKING:
    from mailsluice import Campaign, Connection, Report
    from mailsluice.operations.accounts import HeldPart

_Status = Literal[
    "pending", "sending", "sent", "deferred", "failed", "uncertain", "suppressed", "cancelled"
]


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


def report(
    name: str,
    /,
    *,
    open_it: Annotated[bool, Parameter(name="--open", show_default=False)] = False,
    json: AsJson = False,
) -> None:
    """Print a campaign's report.

    Args:
        name: The campaign's name.
        open_it: Write the report as an HTML file instead, and open it in a browser.
        json: Print JSON instead of text.
    """
    import webbrowser
    from dataclasses import replace

    import mailsluice
    from mailsluice.reports.campaign import page
    from mailsluice.reports.campaign.file import write_report
    from mailsluice.reports.campaign.queries import statistics
    from mailsluice.store import Campaigns, Database

    short = mailsluice.report(name)
    with Database() as database:
        counted = statistics(database, Campaigns(database).get(name).id)
        full = replace(short, statistics=counted)
        if open_it:
            path = write_report(full, database)
            show(f"The report is in {path}", {"path": path}, as_json=json)
            webbrowser.open(path.as_uri())
            return
    show_page(page(full, {}), report_values(full), as_json=json)


def export(
    name: str,
    file: Path,
    /,
    *,
    contents: Literal["recipients", "rejects"] = "recipients",
    status: list[_Status] | None = None,
    overwrite: Flag = False,
    json: AsJson = False,
) -> None:
    """Write every recipient of a campaign into a CSV or Parquet file, with the outcome.

    Args:
        name: The campaign's name.
        file: The file to write; its name says the format (.csv or .parquet).
        contents: The accepted recipients, or the rows that were rejected, with reasons.
        status: Write the recipients in this state alone. Give it again for further states.
        overwrite: Replace an existing file.
        json: Print JSON instead of text.
    """
    from mailsluice.core.status import RecipientStatus
    from mailsluice.operations import accounts
    from mailsluice.store import Database

    with Database() as database:
        done = accounts.export(
            database,
            name,
            file,
            contents=accounts.Contents(contents),
            statuses=[RecipientStatus(each) for each in status or ()],
            overwrite=overwrite,
        )
    show(f"{done.rows:,} {contents} in {done.path}", done, as_json=json)


def find(name: str, text: str, /, *, json: AsJson = False) -> int:
    """Find the recipient of a campaign by a provider's id of the message, or by a token.

    Args:
        name: The campaign's name.
        text: The id that the server's reply gave the message, or the token in a provider's event.
        json: Print JSON instead of text.
    """
    from mailsluice.operations import accounts
    from mailsluice.store import Database

    with Database() as database:
        found = accounts.find_recipients(database, name, text)
    lines = [f"{one.email} over {one.connection}, by its {one.found_by}" for one in found]
    show("\n".join(lines) or f"no recipient of {name} has this id", found, as_json=json)
    return 0 if found else WAITING


def verify(name: str, /, *, json: AsJson = False) -> int:
    """Check that no recipient of a campaign is lost, and none is there twice.

    Args:
        name: The campaign's name.
        json: Print JSON instead of text.
    """
    import mailsluice

    result = mailsluice.verify(name)
    values = {"conserved": result.is_conserved, "findings": result.findings}
    show(result.summary(), values, as_json=json)
    return 0 if result.is_conserved else WAITING


def resolve(
    name: str,
    /,
    *addresses: str,
    action: Literal["sent", "resend", "failed"],
    file: Path | None = None,
    json: AsJson = False,
) -> None:
    """Settle uncertain recipients: whether their message arrived is not known.

    Args:
        name: The campaign's name.
        addresses: The addresses to settle. Default: those of the file, or all uncertain ones.
        action: What to do: count them as sent or failed, or send to them again.
        file: A CSV or Parquet file of the addresses, with the column "email".
        json: Print JSON instead of text.
    """
    from mailsluice.campaign import RecipientSource
    from mailsluice.operations import accounts
    from mailsluice.store import Database, home

    listed = accounts.read_addresses(RecipientSource(path=str(file))) if file else []
    named = [*addresses, *listed] if addresses or file else None
    with Database() as database:
        done = asyncio.run(
            accounts.resolve_uncertain(
                database, name, accounts.Action(action), named, owner=_owner("resolve"), home=home()
            )
        )
    becomes = {"sent": "count as sent", "failed": "count as failed", "resend": "wait to be sent"}
    text = f"{done.changed:,} {becomes[action]} now, {done.left:,} are still uncertain"
    if done.not_found:
        text += f"; {done.not_found:,} of the addresses belong to no uncertain recipient"
    show(text, done, as_json=json)


def decide(
    name: str,
    decision: Literal["go-on", "stop", "move"] | None = None,
    /,
    *,
    part: int | None = None,
    to: str | None = None,
    json: AsJson = False,
) -> None:
    """Decide about what a campaign's stop-loss or canary holds; without a decision, show it.

    Afterwards, send the campaign again.

    Args:
        name: The campaign's name.
        decision: go-on: send to the recipients. stop: cancel them for good. move: send to them over
            another connection, if they were never attempted.
        part: The number of one held part, as shown. Default: all of them.
        to: With move, the connection that takes the recipients over.
        json: Print JSON instead of text.
    """
    from mailsluice.operations import accounts
    from mailsluice.stop_loss import Decision
    from mailsluice.store import Database, home

    with Database() as database:
        if decision is None:
            _show_held(accounts.held_parts(database, name), as_json=json)
            return
        number = asyncio.run(
            accounts.decide(
                database,
                name,
                Decision(decision.replace("-", " ")),
                part=part,
                target=to,
                owner=_owner("decide"),
                home=home(),
            )
        )
    text = f"{number:,} part{'s'[: number != 1]} decided; send the campaign again to continue it"
    show(text, {"decided": number}, as_json=json)


def _show_held(parts: Sequence[HeldPart], *, as_json: bool) -> None:
    columns = ("part", "held", "why", "waiting")
    rows = [(str(one.id), one.part, one.reason, f"{one.waiting:,}") for one in parts]
    if as_json:
        show("", parts, as_json=True)
    elif rows:
        show_table(f"{len(rows):,} held", columns, rows)
    else:
        print("Nothing is held.")


def cancel(name: str, /, *, json: AsJson = False) -> None:
    """Cancel a campaign for good: recipients that still wait get no mail.

    Args:
        name: The campaign's name.
        json: Print JSON instead of text.
    """
    from mailsluice.operations import accounts
    from mailsluice.store import Database, home

    with Database() as database:
        done = asyncio.run(
            accounts.cancel_campaign(database, name, owner=_owner("cancel"), home=home())
        )
    text = f"{done.sent:,} of {done.accepted:,} had been sent, {done.cancelled:,} are cancelled"
    show(text, done, as_json=json)


def _owner(command: str) -> str:
    return f"mailsluice {command}, pid {os.getpid()}"


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
    from mailsluice.smtp.tokens import Tokens

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


COMMANDS = (plan, send, status, report, export, find, verify, resolve, decide, cancel)
