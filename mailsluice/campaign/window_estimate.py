"""Estimate when a connection is done, in the hours of a window and within quotas. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.limits import QuotaUse

_NOTHING = 1e-6  # of a message, by which sums of parts may be off


def end_in_window(
    starts_at: datetime,
    releases: Sequence[tuple[datetime, int]],
    per_second: float,
    window: SendingWindow,
    quotas: Sequence[QuotaUse],
    horizon: timedelta,
) -> datetime | None:
    """Walk from release to release, through the times in which window and quotas allow mail.

    Returns when the last message goes out; None: beyond the horizon.
    """
    at, last = starts_at, starts_at + horizon
    meters = [Meter(quota) for quota in quotas]
    for due, count in releases:
        left = float(count)
        at = max(at, due) if count else at
        while left > _NOTHING:
            at = _opens_at(window, meters, at, last)
            seconds = min(
                _open_seconds(window, at),
                *((meter.ends_at(at) - at).total_seconds() for meter in meters),
                math.inf,
            )
            part = min(left, *(meter.room for meter in meters), math.inf)
            if part / per_second <= seconds:
                seconds = part / per_second
            else:
                part = per_second * seconds
            if at > last or seconds > horizon.total_seconds():
                return None
            at += timedelta(seconds=seconds)
            left -= part
            for meter in meters:
                meter.room -= part
    return at


class Meter:
    """The rest of a quota while time passes and mail goes out."""

    def __init__(self, quota: QuotaUse) -> None:
        self._limit = quota.limit
        self._ends = quota.ends_at
        self.room = float(quota.room)
        """Messages; the caller takes off what is sent."""

    def ends_at(self, at: datetime) -> datetime:
        """Return the end of the period that has this moment, no earlier than the last one."""
        if at.timestamp() >= self._ends:
            _, self._ends = self._limit.period(at.timestamp())
            self.room = float(self._limit.count)
        return datetime.fromtimestamp(self._ends, UTC)

    def free_at(self, at: datetime) -> datetime:
        """Return the first moment, this one or later, with room."""
        end = self.ends_at(at)
        return at if self.room > _NOTHING else end


def _opens_at(
    window: SendingWindow, meters: Sequence[Meter], at: datetime, last: datetime
) -> datetime:
    """Return the first moment, `at` or later, at which all allow mail; or one after `last`."""
    while at <= last:
        later = max(window.opens_at(at), *(meter.free_at(at) for meter in meters), at)
        if later == at:
            break
        at = later
    return at


def _open_seconds(window: SendingWindow, at: datetime) -> float:
    closes = window.closes_at(at)
    return (closes - at).total_seconds() if closes else math.inf
