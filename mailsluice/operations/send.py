"""Send a whole campaign in one call: launch it, or continue it, and return its report."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mailsluice.audience.engines import Engines, engine_of
from mailsluice.audience.remote.storage import Storage
from mailsluice.campaign import Campaign, SenderIdentity
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.core.errors import CampaignError
from mailsluice.core.memory import return_memory
from mailsluice.core.status import CampaignStatus
from mailsluice.delivery import CampaignRun
from mailsluice.metrics.run_meter import metered
from mailsluice.oauth.tokens import OnRotated
from mailsluice.operations import launch
from mailsluice.operations.document_file import Document, read_campaign
from mailsluice.operations.failover import watched_connections
from mailsluice.operations.finish import finishing, refuse_impossible
from mailsluice.operations.host_sessions import divided
from mailsluice.operations.lending.planner import LendingSettings
from mailsluice.operations.processes import Processes, processes_of
from mailsluice.operations.sizes import refuse_too_large
from mailsluice.operations.stop_loss import watched_losses
from mailsluice.reports.campaign import Report
from mailsluice.reports.campaign.stored import stored_report
from mailsluice.reports.progress import Progress
from mailsluice.smtp.connection import Connection
from mailsluice.store import Campaigns, Database, home
from mailsluice.store.trouble import DatabaseError, told

WAIT_SECONDS = 300.0
_LOOK_SECONDS = 1.0
_ENDED = (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED)


def prepare(
    database: Database,
    campaign: Campaign,
    *,
    owner: str,
    home: Path,
    day: date,
    warm_ups: Mapping[str, WarmUp] | None = None,
    identities: Mapping[str, SenderIdentity] | None = None,
    engines: Engines | None = None,
    storages: Iterable[Storage] = (),
    connections: Mapping[str, Connection] | None = None,
) -> CampaignRun:
    """Launch a campaign, or continue it; its recipients are then stored, each with its connection.

    The caller sends with the returned run, which holds the campaign's lease, and closes it.
    Blocking.

    Args:
        owner: The name of the run, for messages to others that want to send the same campaign.
        home: The folder of the journal.
        day: The day of growing shares.
        warm_ups: The warm-up of each connection, by the connection's name.
        identities: The identity on each connection, by its name, which the message is checked for.
        engines: The databases that the document's queries name.
        storages: The storages that the document's sources name.
        connections: The connections by name, whose limits decide computed shares.

    Raises:
        MailsluiceError: The campaign cannot be sent. A new campaign is not stored then.
    """
    with ExitStack() as stack:
        record = Campaigns(database).find(campaign.name)
        audience = None
        if record is None or record.status is CampaignStatus.RESOLVING:
            refuse_impossible(campaign, database.moment())
            connect = partial(engine_of, engines or {})
            stack.callback(lambda: return_memory(audience.read if audience else 0))
            audience = stack.enter_context(
                launch.resolve_audience(
                    campaign, database, connect, identities, named_storages(storages)
                )
            )
        run = CampaignRun(database, campaign, launch.content(campaign), owner=owner, home=home)
        try:
            if run.record.status is CampaignStatus.RESOLVING:
                if audience is None:
                    raise CampaignError(
                        f"campaign {campaign.name!r} was reset meanwhile: try again"
                    )
                occasion = launch.Occasion(
                    day, database.moment(), warm_ups or {}, connections or {}
                )
                launch.store_audience(database, run.id, campaign, audience, occasion)
        except BaseException:
            asyncio.run(run.close())
            raise
    return run


async def send_connections(
    run: CampaignRun,
    campaign: Campaign,
    connections: Sequence[Connection],
    *,
    lending: LendingSettings | None = None,
    **options: Any,
) -> None:
    """Send over all connections at once, until no recipient can be sent to any more.

    `options` are those of `CampaignRun.send`. Recipients of a connection that goes down move to the
    other connections, which send meanwhile, if the campaign says so.
    """
    columns = await asyncio.to_thread(run.outbox.columns)
    identities = launch.identities(campaign, connections)
    messages = launch.messages(campaign, columns, identities, run.record.return_key)
    known = {target.name: target for target in connections}
    async with watched_connections(run, campaign, known, known, lending=lending):
        await asyncio.gather(
            *(run.send(target, messages[target.name], **options) for target in connections)
        )


async def send_in_processes(
    run: CampaignRun,
    campaign: Campaign,
    processes: Processes,
    *,
    lending: LendingSettings | None = None,
) -> None:
    """Send over all connections in several processes, as `send_connections` does in one."""

    async def ended(name: str) -> None:
        try:
            await processes.result(name)
        finally:
            run.sending_ended(name)

    names = [*processes.connections]
    async with watched_connections(
        run, campaign, names, processes.connections, lending=lending, is_elsewhere=True
    ):
        processes.start(names)
        ends = await asyncio.gather(*map(ended, names), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end


async def send_async(
    campaign: Document,
    connections: Iterable[Connection],
    *,
    database: str | None = None,
    engines: Engines | None = None,
    storages: Iterable[Storage] = (),
    day: date | None = None,
    wait_seconds: float = WAIT_SECONDS,
    on_progress: Callable[[Progress], None] | None = None,
    on_refresh_token: OnRotated | None = None,
) -> Report:
    """Send a campaign, or continue it where it stopped; see `send`.

    Cancelling the task lets messages in flight finish first.
    """
    document = read_campaign(campaign)
    day = day or today(document)
    document = document.on_day(day)
    known = named_connections(document, connections)
    divided(known[route.connection] for route in document.routes)  # refused before the launch
    store = await asyncio.to_thread(Database, database)
    try:
        record = await asyncio.to_thread(launch.launched_before, store, document)
        if record and record.status in _ENDED:
            return await asyncio.to_thread(stored_report, store, record.name)
        if record is None:
            await refuse_too_large(document, known)
        run = await asyncio.to_thread(
            prepare,
            store,
            document,
            owner=f"mailsluice.send, pid {os.getpid()}",
            home=home(),
            day=day,
            warm_ups={name: connection.warm_up for name, connection in known.items()},
            identities=launch.identities(document, known.values()),
            engines=engines,
            storages=storages,
            connections=known,
        )
        try:
            run.tokens.on_rotated = on_refresh_token
            routes = await asyncio.to_thread(run.campaigns.routes, run.id)
            routed = [_connection(known, route.connection) for route in routes]
            used = {connection.name: connection for connection in divided(routed)}
            await asyncio.to_thread(run.count)
            recipients = (await asyncio.to_thread(run.campaigns.get, document.name)).accepted
            async with processes_of(run, document, used, recipients) as processes:
                if processes:
                    sending = send_in_processes(run, document, processes)
                else:
                    sending = send_connections(run, document, [*used.values()])
                async with (
                    watched_losses(run, document),
                    finishing(run, document, used),
                    metered(run, document, used),
                    _watched(run, processes or run, wait_seconds, on_progress),
                ):
                    await _finishing(run, sending)
            return await asyncio.to_thread(run.report)
        finally:
            await run.close()
    except DatabaseError as error:
        raise told(error, then="Send again to continue") from error
    finally:
        await asyncio.to_thread(store.close)


def send(
    campaign: Document,
    connections: Iterable[Connection],
    *,
    database: str | None = None,
    engines: Engines | None = None,
    storages: Iterable[Storage] = (),
    day: date | None = None,
    wait_seconds: float = WAIT_SECONDS,
    on_progress: Callable[[Progress], None] | None = None,
    on_refresh_token: OnRotated | None = None,
) -> Report:
    """Send a campaign, or continue it where it stopped, and return its report.

    The same campaign again sends only to recipients that still wait; a complete campaign sends
    nothing. Ctrl-C lets messages in flight finish, and raises KeyboardInterrupt then.

    Args:
        campaign: The campaign, its document as a mapping, or the path of a YAML or JSON file.
        connections: The SMTP connections that the routes name, and those that warm-ups spill to.
            Their `max_sessions` count the sessions of this call only, not those of other processes.
        database: The URL of the state database. Default: MAILSLUICE_DATABASE_URL, else SQLite in
            MAILSLUICE_HOME.
        engines: SQLAlchemy engines by the names that the queries of `recipients` and `exclude`
            have as their `database`.
        storages: The storages that `recipients` and `exclude` name for lists elsewhere.
        day: The day of `{date}` in the name, and of growing shares. Default: today, in the time
            zone of the sending window, or UTC.
        wait_seconds: Return when there is nothing to do for longer than this, for example outside
            the sending window. The report's `open` counts the recipients that still wait.
        on_progress: Called about once a second, in the calling thread: return quickly. When it
            raises an exception, messages in flight finish, and `send` raises that exception.
        on_refresh_token: Called, from any thread, when an OAuth provider replaces a refresh token:
            with the connection's name, the token that was used and the new one, which is to be
            stored for the next call.

    Raises:
        MailsluiceError: The campaign cannot be sent. Its message says what to do.

    Example:
        >>> from mailsluice import Connection, send
        >>> report = send("campaign.yaml", [Connection("local", "127.0.0.1", 1025, "none")])
        >>> report.summary()
        '1,000 of 1,000 sent'
    """
    return asyncio.run(
        send_async(
            campaign,
            connections,
            database=database,
            engines=engines,
            storages=storages,
            day=day,
            wait_seconds=wait_seconds,
            on_progress=on_progress,
            on_refresh_token=on_refresh_token,
        )
    )


def today(document: Campaign) -> date:
    """Return today's date in the time zone of the campaign's sending window, or in UTC."""
    return datetime.now(ZoneInfo(document.sending_window.timezone or "UTC")).date()


def named_storages(storages: Iterable[Storage]) -> dict[str, Storage]:
    """Index storages by name."""
    return {storage.name: storage for storage in storages}


def named_connections(
    document: Campaign, connections: Iterable[Connection]
) -> dict[str, Connection]:
    """Index the connections by name. Raises CampaignError if the document names another one."""
    known = {connection.name: connection for connection in connections}
    named = [route.connection for route in document.routes]
    for name in named:
        _connection(known, name)
    for name in named:
        if spill_to := known[name].warm_up.spill_to:
            _connection(known, spill_to)
    return known


def _connection(known: Mapping[str, Connection], name: str) -> Connection:
    if name not in known:
        given = ", ".join(known) or "none"
        raise CampaignError(
            f"there is no connection {name!r} (given: {given}): pass it, or correct the name"
        )
    return known[name]


@asynccontextmanager
async def _watched(
    run: CampaignRun,
    working: CampaignRun | Processes,
    wait_seconds: float,
    on_progress: Callable[[Progress], None] | None,
) -> AsyncIterator[None]:
    """Watch the run while the `with` block sends. Raises what `on_progress` raised."""
    watching = asyncio.ensure_future(_watch(run, working, wait_seconds, on_progress))
    try:
        yield
    finally:
        watching.cancel()
        (fault,) = await asyncio.gather(watching, return_exceptions=True)
        failed = isinstance(fault, Exception)  # a cancelled watch has CancelledError, which is none
        if on_progress and not failed:
            on_progress(await run.progress())
    if isinstance(fault, Exception):
        raise fault


async def _watch(
    run: CampaignRun,
    working: CampaignRun | Processes,
    wait_seconds: float,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    """Report progress once a second; stop the run when it is idle for long, or on an error."""
    try:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if on_progress:
                on_progress(await run.progress())
            if wait_seconds < await working.next_in() < math.inf:
                run.stop()
                return
    except Exception:
        run.stop()
        raise


async def _finishing(run: CampaignRun, sending: Coroutine[Any, Any, None]) -> None:
    """Wait for `sending`; when cancelled, let messages in flight finish first."""
    task = asyncio.ensure_future(sending)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        run.stop()
        await task
        raise
