"""Commands about stored campaigns: watch, report, export, resolve, decide, cancel."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from deployments.command.output import (
    WAITING,
    AsJson,
    Flag,
    show,
    show_page,
    show_table,
)
from deployments.command.status import report_values, status

if TYPE_CHECKING:
    from mailsluice.operations.accounts import HeldPart

_Status = Literal[
    "pending", "sending", "sent", "deferred", "failed", "uncertain", "suppressed", "cancelled"
]


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


COMMANDS = (status, report, export, find, verify, resolve, decide, cancel)
