"""Review a campaign without changing it: plan it, report on it, verify it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from functools import partial

from mailsluice.audience.engines import Engines, engine_of
from mailsluice.audience.remote.storage import Storage
from mailsluice.operations import accounts, launch
from mailsluice.operations.accounts import Verification
from mailsluice.operations.document_file import Document, read_campaign
from mailsluice.operations.plan import Plan
from mailsluice.operations.plan.launching import plan_launch
from mailsluice.operations.send import named_connections, named_storages, today
from mailsluice.reports.campaign import Report
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.smtp.connection import Connection
from mailsluice.store import Database


def plan(
    campaign: Document,
    connections: Iterable[Connection],
    *,
    database: str | None = None,
    engines: Engines | None = None,
    storages: Iterable[Storage] = (),
    day: date | None = None,
    starts_at: datetime | None = None,
) -> Plan:
    """Show what a campaign would do, without sending or storing anything.

    The plan has counts, times, warnings and a preview; `Plan.markdown` makes a page of them. The
    arguments are those of `mailsluice.send`, and `starts_at`.

    Args:
        starts_at: The moment at which the campaign would start, with a time zone. Default: now.

    Raises:
        MailsluiceError: The campaign could not be sent.

    Example:
        >>> from mailsluice import Connection, plan
        >>> result = plan("campaign.yaml", [Connection("local", "127.0.0.1", 1025, "none")])
        >>> result.accepted
        1000
    """
    document = read_campaign(campaign)
    day = day or today(document)
    document = document.on_day(day)
    known = named_connections(document, connections)
    identities = launch.identities(document, known.values())
    connect = partial(engine_of, engines or {})
    with (
        Database(database) as store,
        launch.resolve_audience(
            document, store, connect, identities, named_storages(storages)
        ) as audience,
    ):
        warm_ups = {name: connection.warm_up for name, connection in known.items()}
        occasion = launch.Occasion(day, starts_at or store.moment(), warm_ups)
        return plan_launch(document, store, audience, known, occasion)


def report(name: str, *, database: str | None = None) -> Report:
    """Return the report of a stored campaign, at any time.

    Raises:
        MailsluiceError: There is no campaign of this name.

    Example:
        >>> from mailsluice import report
        >>> report("spring-sale").summary()
        '1,000 of 1,000 sent'
    """
    with Database(database) as store:
        return stored_report(store, name)


def verify(name: str, *, database: str | None = None) -> Verification:
    """Check that no recipient of a campaign is lost, and none is there twice.

    `Verification.is_conserved` is the answer, and `findings` says what is wrong. Changes nothing.

    Raises:
        MailsluiceError: There is no campaign of this name.

    Example:
        >>> from mailsluice import verify
        >>> verify("spring-sale").is_conserved
        True
    """
    with Database(database) as store:
        return accounts.verify(accounts.tally(store, name))
