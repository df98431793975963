"""Campaigns: plan, send, watch, report, settle."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from deployments.command.connections import load, prefect
from deployments.command.output import WAITING, AsJson, progress_bars, show, show_table

if TYPE_CHECKING:
    from mailsluice import Campaign, Report
    from mailsluice.audience.engines import Engines


def plan(file: Path, *, json: AsJson = False) -> None:
    """Say what a campaign would do, without sending or storing anything.

    Args:
        file: The campaign document, YAML or JSON.
        json: Print JSON instead of text.
    """
    import mailsluice

    document = mailsluice.read_campaign(file)
    connections = load(route.connection for route in document.routes)
    found = mailsluice.plan(document, connections, engines=_engines(document))
    show(found.markdown(), found, as_json=json)


def send(file: Path, *, deployment: bool = False, json: AsJson = False) -> int:
    """Send a campaign from this process, or continue it where it stopped.

    Ctrl-C lets messages in flight finish; the same command continues the campaign.

    Args:
        file: The campaign document, YAML or JSON.
        deployment: Start a run of the deployment send-campaign/default instead, and wait for its
            end.
        json: Print JSON instead of text.
    """
    import mailsluice

    document = mailsluice.read_campaign(file)
    if deployment:
        return _through_prefect(document, as_json=json)
    connections = load(route.connection for route in document.routes)
    with progress_bars() as draw:
        found = mailsluice.send(document, connections, engines=_engines(document), on_progress=draw)
    _show_report(found, as_json=json)
    return WAITING if found.open else 0


def status(name: str | None = None, *, json: AsJson = False) -> None:
    """Show where a campaign stands, or all campaigns, the latest first.

    Args:
        name: The campaign's name. Default: all campaigns.
        json: Print JSON instead of text.
    """
    import mailsluice
    from mailsluice.store import Campaigns, Database

    if name is not None:
        _show_report(mailsluice.report(name), as_json=json)
        return
    with Database() as database:
        records = Campaigns(database).all()
    columns = ("campaign", "status", "recipients")
    rows = [(one.name, one.status.value, f"{one.accepted:,}") for one in records]
    if json:
        show("", [dict(zip(columns, row, strict=True)) for row in rows], as_json=True)
    else:
        show_table(f"{len(rows):,} campaigns", columns, rows)


def report(
    name: str,
    *,
    open_it: Annotated[bool, Parameter(name="--open", negative="")] = False,
    json: AsJson = False,
) -> None:
    """Print a campaign's report as Markdown.

    Args:
        name: The campaign's name.
        open_it: Open the report's HTML file in a browser instead.
        json: Print JSON instead of text.
    """
    import webbrowser
    from dataclasses import replace

    import mailsluice
    from mailsluice.reports.campaign import page
    from mailsluice.reports.campaign.file import write_report
    from mailsluice.reports.campaign.queries import statistics
    from mailsluice.store import Campaigns, Database

    found = mailsluice.report(name)
    with Database() as database:
        counted = statistics(database, Campaigns(database).get(name).id)
        full = replace(found, statistics=counted)
        if open_it:
            webbrowser.open(write_report(full, database).as_uri())
            return
    show(page(full, {}), full, as_json=json)


def export(
    name: str,
    file: Path,
    *,
    contents: Literal["recipients", "rejects"] = "recipients",
    overwrite: bool = False,
    json: AsJson = False,
) -> None:
    """Write every recipient of a campaign into a CSV or Parquet file, with the outcome.

    Args:
        name: The campaign's name.
        file: The file to write; its name says the format (.csv or .parquet).
        contents: The accepted recipients, or the rows that were rejected, with reasons.
        overwrite: Replace an existing file.
        json: Print JSON instead of text.
    """
    from mailsluice.operations import accounts
    from mailsluice.store import Database

    with Database() as database:
        done = accounts.export(
            database, name, file, contents=accounts.Contents(contents), overwrite=overwrite
        )
    show(f"{done.rows:,} {contents} in {done.path}", done, as_json=json)


def verify(name: str, *, json: AsJson = False) -> int:
    """Check that no recipient of a campaign is lost, and none is there twice.

    Args:
        name: The campaign's name.
        json: Print JSON instead of text.
    """
    import mailsluice

    found = mailsluice.verify(name)
    values = {"conserved": found.is_conserved, "findings": found.findings}
    show(found.summary(), values, as_json=json)
    return 0 if found.is_conserved else WAITING


def resolve(
    name: str,
    *addresses: str,
    action: Literal["sent", "resend", "failed"],
    file: Path | None = None,
    json: AsJson = False,
) -> None:
    """Settle recipients that are uncertain: nobody knows whether their message arrived.

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
    text = f"{done.changed:,} resolved as {action}, {done.left:,} are still uncertain"
    show(text, done, as_json=json)


def cancel(name: str, *, json: AsJson = False) -> None:
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


def _owner(what: str) -> str:
    return f"mailsluice {what}, process {os.getpid()}"


def _engines(document: Campaign) -> Engines:
    from blocks.loading import load_database

    names = {document.recipients.database, document.exclude.database} - {None}
    if not names:
        return {}
    with prefect():
        return {name: asyncio.run(load_database(name)).get_engine() for name in names if name}


def _through_prefect(document: Campaign, *, as_json: bool) -> int:
    from prefect.deployments import run_deployment

    parameters = {"campaign": document.model_dump(mode="json", exclude_unset=True)}
    with prefect():
        run: Any = run_deployment("send-campaign/default", parameters=parameters)
    state = run.state
    values = {"run": str(run.id), "state": state.name, "message": state.message}
    show(f"{state.name}: {state.message}", values, as_json=as_json)
    return 0 if state.is_completed() else 1


def _show_report(report: Report, *, as_json: bool) -> None:
    if as_json:
        show("", report, as_json=True)
        return
    statuses = report.shown
    columns = ("connection", "assigned", *(one.value for one in statuses))
    rows = [
        (one.connection, f"{one.planned:,}", *(f"{one.of(each):,}" for each in statuses))
        for one in report.routes
    ]
    show_table(f"{report.campaign}: {report.summary()}", columns, rows)
    for name, reason in report.down.items():
        print(f"{name} is down: {reason}")


COMMANDS = (plan, send, status, report, export, verify, resolve, cancel)
