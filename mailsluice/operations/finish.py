"""Spread a campaign evenly until its finish time, and tell whether it will be reached.

The run of the campaign counts what is left of each connection, and stores the distance between two
messages that follows (`Usage.spread`). All processes that send get their starts from there, so the
pace is that of the connection, however many they are. Failures, deferrals, pauses, crashes and
moved recipients change what is left, and so the pace. Limits hold as ever: the pace only adds to
the wait for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from mailsluice.campaign import Campaign
from mailsluice.campaign.estimate import Load
from mailsluice.campaign.finish import LONGEST, Span
from mailsluice.core.errors import CampaignError
from mailsluice.core.steady import steady
from mailsluice.core.timezones import shown
from mailsluice.delivery import CampaignRun
from mailsluice.delivery.rule_book import pace_key
from mailsluice.limits import Spread, bounds
from mailsluice.reports.progress import Finish, RecentPace
from mailsluice.smtp.connection import Connection
from mailsluice.store.finishes import Finishes, Left
from mailsluice.store.trouble import DatabaseError

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0, 30.0
"""The pause between two looks, at least and at most."""
_LOOKS = 200
"""Looks in the time that is left, within these bounds."""
_TIMES = 100
"""How many times as long as a look takes the next one is waited for."""
_BEHIND = 0.9
"""A connection that sends less than this part of its pace is as fast as it can be."""
_MEASURED = 20
"""Messages of a minute from which on its pace is measured."""


def refuse_impossible(campaign: Campaign, moment: datetime) -> None:
    """Raise CampaignError where a campaign, launched at a moment, has no time for its mail."""
    opens_at = campaign.sending_window.opens_at(moment)
    end = campaign.finish_at(opens_at)
    if end is None:
        return
    _refuse_far(end, opens_at)
    zone = campaign.sending_window.timezone or "UTC"
    if end <= moment:
        raise CampaignError(
            f"the campaign was to be finished by {_full(end, zone)}, which has passed: give a later"
            " finish_by, or leave it empty to send at once"
        )
    if end <= opens_at:
        raise CampaignError(
            f"the campaign is to be finished by {_full(end, zone)}, but its sending window opens at"
            f" {_full(opens_at, zone)}: give a later finish_by, or another sending window"
        )


def _refuse_far(end: datetime, since: datetime) -> None:
    if end - since > LONGEST:
        raise CampaignError(
            f"the campaign is to be finished by {end:%Y-%m-%d %H:%M}, more than a year away: give"
            " an earlier finish_by"
        )


def _full(moment: datetime, zone: str) -> str:
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


@asynccontextmanager
async def finishing(
    run: CampaignRun, campaign: Campaign, connections: Mapping[str, Connection]
) -> AsyncIterator[None]:
    """Keep the pace while the `with` block sends, if the campaign has a finish time.

    The pace is set when the block begins. Raises CampaignError where the finish time is years away.
    """
    watch = FinishWatch(run, campaign, connections)
    if not await asyncio.to_thread(watch.begin):
        yield
        return
    watching = asyncio.ensure_future(watch.run())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


class FinishWatch:
    """Sets the pace of a campaign's connections again and again."""

    def __init__(
        self, run: CampaignRun, campaign: Campaign, connections: Mapping[str, Connection]
    ) -> None:
        self._run = run
        self._campaign = campaign
        self._connections = connections
        self._finishes = Finishes(run.database, run.id)
        self._span: Span | None = None
        self._paces: defaultdict[str, RecentPace] = defaultdict(RecentPace)
        self._assigned: dict[str, int] = {}
        self._is_late = self._has_passed = False

    def begin(self) -> bool:
        """Set the pace for the first time; returns whether there is any. Blocking."""
        database, window = self._run.database, self._campaign.sending_window
        moment = database.moment()
        span = self._finishes.begin(window.opens_at(moment), self._campaign.finish_at)
        if span is None:
            return False
        _refuse_far(span[1], moment)
        self._span = Span(window, *span)
        routes = self._run.campaigns.routes(self._run.id)
        self._assigned = {route.connection: route.assigned for route in routes}
        self._look(self._span)
        return True

    async def run(self) -> None:
        """Look until this is cancelled, whatever goes wrong."""
        failure = ""
        while span := self._span:
            left = (span.until - datetime.now(UTC)).total_seconds()
            least, most = _LOOK_SECONDS
            await asyncio.sleep(min(most, max(least, left / _LOOKS)))
            began = steady()
            try:
                await asyncio.to_thread(self._look, span)
            except DatabaseError:
                pass  # it is away, and asked again
            except Exception as error:
                if failure != (failure := type(error).__name__):
                    logger.exception("the pace could not be set; the next look follows")
            await asyncio.sleep(_TIMES * (steady() - began))

    def _look(self, span: Span) -> None:
        """Count what is left, and set the pace that follows."""
        moment = self._run.database.moment()
        counts: dict[datetime, dict[str, Left]] = {}
        spreads: dict[str, Spread] = {}
        for name in self._assigned:
            until = self._until(name, moment, span)
            if until not in counts:
                counts[until] = self._finishes.left(until)
            due = counts[until].get(name, Left(0, 0)).due
            spreads[name] = spread(span, moment, due, until)
        self._finishes.spread({pace_key(self._run.id, name): one for name, one in spreads.items()})
        left = counts.get(span.until) or self._finishes.left(span.until)
        self._run.finish = self._finish(span, moment, left, spreads)
        self._tell(span, moment, left)

    def _until(self, name: str, moment: datetime, span: Span) -> datetime:
        """The moment until which a connection's mail is spread: in a warm-up, the end of the day.

        Each day of a warm-up has its own recipients, which have to go before those of the next.
        """
        warm_up = self._connections[name].warm_up if name in self._connections else None
        if warm_up is None or warm_up.start is None:
            return span.until
        today = warm_up.today(moment)
        if warm_up.cap_on(today) is None:
            return span.until
        tomorrow = datetime.fromtimestamp(warm_up.begins(today + timedelta(days=1)), UTC)
        return min(span.until, tomorrow)

    def _finish(
        self,
        span: Span,
        moment: datetime,
        left: Mapping[str, Left],
        spreads: Mapping[str, Spread],
    ) -> Finish:
        shares = self._run.campaigns.shares(self._run.id)
        ends: dict[str, datetime | None] = {}
        for name, waiting in left.items():
            pace, wanted = self._paces[name], spreads[name]
            pace.see(steady(), self._assigned[name] - waiting.due - waiting.later)
            limits = bounds(self._connections[name], self._campaign.throttle, shares, name)
            rates = [bound.per_second for bound in limits]
            if measured := behind(pace.per_second, wanted):
                rates.append(measured)
            if not waiting.due:
                continue
            load = Load(moment, [(moment, waiting.due)], (), self._campaign.sending_window)
            end = load.ends_at(min(rates)) if rates else load.window.opens_at(moment)
            ends[name] = end and max(end, span.until)
        return Finish(span.until, ends, span.tolerance)

    def _tell(self, span: Span, moment: datetime, left: Mapping[str, Left]) -> None:
        """Say once that the finish time has passed, or cannot be reached."""
        finish, zone = self._run.finish, self._campaign.sending_window.timezone or "UTC"
        waiting = sum(one.due + one.later for one in left.values())
        if finish is None or not waiting:
            return
        by = shown(span.until, moment, zone)
        if moment >= span.until:
            if not self._has_passed:
                logger.warning(
                    "the campaign was to be finished by %s, which has passed: %d recipients are"
                    " left, and get their mail as fast as the limits allow",
                    by,
                    waiting,
                )
            self._has_passed = True
        elif bool(finish.late) != self._is_late:
            self._is_late = not self._is_late
            if self._is_late:
                logger.warning(
                    "the campaign will not be finished by %s: %s",
                    by,
                    late_in_words(finish, moment, zone),
                )
            else:
                logger.info("the campaign will be finished by %s after all", by)


def spread(span: Span, moment: datetime, messages: int, until: datetime | None = None) -> Spread:
    """How messages are to be spread from a moment on, until the end of the span or earlier."""
    opens_at, seconds = span.left(moment, until)
    since = opens_at.timestamp()
    return Spread(messages, since, since + seconds)


def behind(per_second: float | None, wanted: Spread) -> float | None:
    """The measured pace, where it is what a connection can do: less than it was to be."""
    if not per_second or wanted.until <= wanted.since:
        return None
    pace = wanted.messages / (wanted.until - wanted.since)
    return per_second if pace > _MEASURED / 60 and per_second < _BEHIND * pace else None


def late_in_words(finish: Finish, moment: datetime, zone: str) -> str:
    """Say which connections are late, and when they will be done."""
    return "; ".join(
        f"{name} is expected at {shown(end, moment, zone)}" if end else f"{name} takes years"
        for name, end in finish.late.items()
    )
