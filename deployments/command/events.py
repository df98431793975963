"""Commands about what providers report after they have accepted mail."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from cyclopts import App

from deployments.command.connections import prefect
from deployments.command.event_files import import_file
from deployments.command.output import WAITING, AsJson, Flag, show

if TYPE_CHECKING:
    from mailsluice.campaign.identity import Provider
    from mailsluice.operations.events.sources import EventSource

app = App(name="events", help="What providers report about mail that they have accepted.")
app.command(import_file, name="import")

logger = logging.getLogger("mailsluice.events")

_REFRESH_SECONDS = 5.0
_PATIENCE_SECONDS = 5.0
"""How long a request waits for the blocks; then those that were known before count."""


@app.command
def serve(*, host: str = "127.0.0.1", port: int = 8025, metrics: Flag = False) -> None:
    """Take the events that providers push, at /events/<connection>, and unsubscribes.

    Runs until Ctrl-C. Unsubscribe links lead to /unsubscribe/<token>. Providers and readers need an
    address with TLS: put a proxy before it, which passes the requests on.

    Args:
        host: The address to listen at; 0.0.0.0 for all addresses of this machine.
        port: The port to listen at.
        metrics: Answer Prometheus, too, at /metrics, which a proxy must not pass on.
    """
    import uvicorn

    from flows.support.after_events import after_events
    from mailsluice.metrics.app import MetricsApp
    from mailsluice.metrics.event_meter import EventMeter
    from mailsluice.metrics.state import StateMetrics
    from mailsluice.operations.events.app import EventsApp
    from mailsluice.store import Database
    from mailsluice.store.route_providers import route_providers

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with prefect(), Database() as database:
        sources = _Sources(partial(route_providers, database))
        asyncio.run(sources.read())

        async def alert(campaign_ids: Collection[int]) -> None:
            await after_events(database, campaign_ids, logger)

        for name, source in sources.known.items():
            print(f"{name}: http://{host}:{port}/events/{quote(name)} ({source.provider.value})")
        if not sources.known:
            print("No SMTP Connection block has an events key yet: the next request looks again")
        print(f"Unsubscribe links: http://{host}:{port}/unsubscribe/")
        endpoint = MetricsApp(StateMetrics(lambda: database)) if metrics else None
        config = uvicorn.Config(
            EventsApp(database, sources, alert=alert, meter=EventMeter(), metrics=endpoint).asgi(),
            host=host,
            port=port,
            access_log=False,
            server_header=False,
            limit_concurrency=1_000,
            log_config=None,
        )
        uvicorn.Server(config).run()


@app.command
def collect(*connections: str, pages: int = 1_000, json: AsJson = False) -> int:
    """Ask the providers of connections for events, and record them; without names, of all.

    Args:
        connections: The names of SMTP Connection blocks that have an events API.
        pages: The most pages of events of each connection; the next call goes on after them.
        json: Print JSON instead of text.
    """
    from blocks.loading import load_event_accounts
    from flows.support.after_events import after_events
    from mailsluice.operations.events import collecting
    from mailsluice.store import Database

    def pause(seconds: float) -> bool:
        time.sleep(seconds)
        return True

    with prefect(), Database() as database:
        accounts, unusable = asyncio.run(load_event_accounts(connections))
        done = collecting.collect(accounts, database, most_pages=pages, pause=pause)
        done.unusable += unusable
        asyncio.run(after_events(database, done.campaign_ids, logger))
    lines = [f"{one.connection}: {one.counts()}" for one in done.connections]
    warnings = [one.gap_warning for one in done.connections if one.gap_warning]
    troubles = [f"stopped early: {trouble}" for trouble in done.troubles()]
    show("\n".join([*lines, *warnings, *troubles, done.summary()]), done, as_json=json)
    return WAITING if done.is_troubled else 0


class _Sources:
    """The connections whose events are taken, read again from Prefect now and then."""

    def __init__(self, of_routes: Callable[[], Mapping[str, Provider]] = dict) -> None:
        self._of_routes = of_routes
        self.known: Mapping[str, EventSource] = {}
        self._unusable: Mapping[str, str] = {}
        self._due_at = time.monotonic() + _REFRESH_SECONDS

    async def __call__(self) -> Mapping[str, EventSource]:
        """Return the sources; a request that finds them old waits for the blocks of now."""
        if time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + _REFRESH_SECONDS
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self.read()
            except Exception as error:  # noqa: BLE001 the connections known so far stay
                reason = type(error).__name__
                logger.warning("the connections cannot be read from Prefect: %s", reason)
        return self.known

    async def read(self) -> None:
        """Read the blocks; one that cannot be used now keeps the key that it had before."""
        from blocks.loading import load_event_sources

        of_routes = await asyncio.to_thread(self._of_routes)
        sources, unusable = await load_event_sources(of_routes)
        for name, reason in unusable.items():
            if reason != self._unusable.get(name):
                logger.warning("%s", reason)
        kept = {name: self.known[name] for name in unusable if name in self.known}
        self.known, self._unusable = {**kept, **sources}, unusable
