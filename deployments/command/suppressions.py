"""Commands about the list of addresses that get no mail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from deployments.command.output import AsJson, Flag, show
from mailsluice.core.suppression_reason import SuppressionReason

app = App(name="suppress", help="The list of addresses that get no mail, whatever the campaign.")


@app.command
def add(
    *addresses: str, reason: SuppressionReason = SuppressionReason.MANUAL, json: AsJson = False
) -> None:
    """Put addresses on the list. Campaigns that are being sent leave them out from now on.

    Args:
        addresses: The addresses.
        reason: The reason that is recorded.
        json: Print JSON instead of text.
    """
    from mailsluice.operations.suppression import by_hand
    from mailsluice.store import Database

    with Database() as database:
        done = by_hand.add(database, given=addresses, reason=reason, source="the command line")
    show("\n".join([done.summary(), *done.notes()]), done, as_json=json)


@app.command
def remove(*addresses: str, even_unsubscribed: Flag = False, json: AsJson = False) -> None:
    """Take addresses off the list: the next campaign may send to them again.

    Args:
        addresses: The addresses.
        even_unsubscribed: Remove also addresses whose owners unsubscribed or complained. Only with
            their consent.
        json: Print JSON instead of text.
    """
    from mailsluice.operations.suppression import by_hand
    from mailsluice.store import Database

    with Database() as database:
        done = by_hand.remove(
            database, given=addresses, path="", email_column="email", even_wishes=even_unsubscribed
        )
    show("\n".join([done.summary(), *done.notes()]), done, as_json=json)


@app.command(name="import")
def import_list(
    file: Path, /, *, reason: SuppressionReason = SuppressionReason.IMPORTED, json: AsJson = False
) -> None:
    """Put the addresses of a CSV or Parquet file on the list; doing so again changes nothing.

    Args:
        file: A file with the column "email"; "reason", "source" and "date" are read where present.
        reason: The reason for rows that give none, or an unknown one.
        json: Print JSON instead of text.
    """
    from mailsluice.campaign import RecipientSource
    from mailsluice.operations.suppression import importing
    from mailsluice.store import Database

    engines: dict[str, object] = {}
    with Database() as database:
        done = importing.import_suppressions(
            database,
            source=RecipientSource(path=str(file)),
            reason=reason,
            connect=engines.__getitem__,  # type: ignore[arg-type]
        )
    show("\n".join([done.summary(), *done.notes()]), done, as_json=json)


@app.command(name="export")
def export_list(
    file: Path,
    /,
    *,
    reasons: Annotated[tuple[SuppressionReason, ...], Parameter(show_default=False)] = (),
    overwrite: Flag = False,
    json: AsJson = False,
) -> None:
    """Write the list into a CSV or Parquet file: email, reason, source, date.

    Args:
        file: The file to write; its name says the format (.csv or .parquet).
        reasons: Only addresses that are on the list for these reasons.
        overwrite: Replace an existing file.
        json: Print JSON instead of text.
    """
    from mailsluice.operations.suppression import exporting
    from mailsluice.store import Database

    with Database() as database:
        done = exporting.export_suppressions(
            database, path=file, reasons=reasons, overwrite=overwrite
        )
    show(done.summary(), done, as_json=json)
