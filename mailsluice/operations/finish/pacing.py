"""The pace towards a finish time, and when a connection will be done. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mailsluice.campaign.estimate import Load
from mailsluice.campaign.finish import Span
from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.warm_up import WarmUp
from mailsluice.limits import Bound, QuotaUse, Spread
from mailsluice.reports.progress import Cause, RecentPace

_AT_WORK = (Cause.FREE, Cause.LIMIT, Cause.CONNECTING, Cause.SLOWED)
"""A connection that none of these delays waits for something that tells nothing about its pace."""
_PROOF_SECONDS = 60.0
_LAST_SECONDS = 3.0
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 30.0


def look_in_seconds(left: float, took: float) -> float:
    """How long to wait for the next look, with so much time left, where one takes so long.

    A look reads all recipients of the campaign. It takes a hundredth of the time, but up to a tenth
    where the end is near. In the last seconds the pace stays as it is: a count is a fraction of a
    second old.
    """
    if left <= 0:
        return _MOST_SECONDS
    if left <= _LAST_SECONDS:
        return left + _LEAST_SECONDS
    seldom = min(100 * took, max(10 * took, left / 20))
    return max(_LEAST_SECONDS, seldom, min(_MOST_SECONDS, left / 200))


def spread_until(warm_up: WarmUp, moment: datetime, span: Span) -> datetime:
    """Until when the mail that is due is spread: in a warm-up, until the end of the day.

    Each day of a warm-up has its own recipients, which have to go before those of the next day.
    """
    today = warm_up.today(moment)
    if warm_up.cap_on(today) is None:
        return span.until
    tomorrow = datetime.fromtimestamp(warm_up.begins(today + timedelta(days=1)), UTC)
    return min(span.until, tomorrow)


def spread(span: Span, moment: datetime, messages: int, until: datetime | None = None) -> Spread:
    """How messages are to be spread from a moment on, until the end of the span or earlier."""
    opens_at, seconds = span.left(moment, until)
    since = opens_at.timestamp()
    return Spread(messages, since, since + seconds)


class Capability:
    """The pace that a connection can keep, as far as it was seen to lag behind its even pace.

    A connection lags behind that has sent for a minute, and at no look was delayed by the even
    pace. Times are arguments, in seconds.
    """

    def __init__(self) -> None:
        self._pace = RecentPace()
        self._since: float | None = None
        self._now, self._done = 0.0, 0

    def see(self, now: float, done: int, cause: Cause) -> None:
        """Record how many recipients were settled by a moment, and what delays the connection."""
        has_new_recipients, self._done = done < self._done, done
        if cause not in _AT_WORK or has_new_recipients:
            self._pace, self._since = RecentPace(), None
            return
        self._since = now if self._since is None else self._since
        self._pace.see(now, done)
        self._now = now

    @property
    def per_second(self) -> float | None:
        """Recipients settled a second; None: it can keep its even pace, as far as is known."""
        if self._since is None or self._now - self._since < _PROOF_SECONDS:
            return None
        return self._pace.per_second or None


def ends_at(
    moment: datetime,
    recipients: int,
    limits: Sequence[Bound],
    measured: float | None,
    window: SendingWindow,
    quotas: Sequence[QuotaUse] = (),
) -> datetime | None:
    """When a connection will be done, as fast as limits, quotas and its measured pace allow.

    None: not within years.
    """
    rates = [bound.per_second for bound in limits] + ([measured] if measured else [])
    load = Load(moment, [(moment, recipients)], (), window, quotas=quotas)
    return load.ends_at(min(rates, default=math.inf))
