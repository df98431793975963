"""The recent pace of a connection, and when it will have sent everything. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime

from mailsluice.campaign.estimate import Load
from mailsluice.campaign.sending_window import SendingWindow

_WINDOW_SECONDS = 60.0
_LEAST_SECONDS = 1.0


class RecentPace:
    """Messages per second over the last minute. Times are arguments, in seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, now: float, sent: int) -> None:
        """Record that `sent` messages had been sent in all at the moment `now`."""
        self._seen.append((now, sent))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float | None:
        """Messages per second; None before there are two observations a second apart."""
        if not self._seen:
            return None
        (since, before), (now, sent) = self._seen[0], self._seen[-1]
        return max(0, sent - before) / (now - since) if now - since >= _LEAST_SECONDS else None


def end(
    left: int,
    per_second: float | None,
    moment: datetime,
    window: SendingWindow,
    zones: Mapping[str, int] | None = None,
) -> datetime | None:
    """When the last message is sent at this pace, within the sending window; None if unknown.

    `zones` are the recipients left in each time zone, where the window applies in them.
    """
    if not per_second or not left or (window.in_own_zones and not zones):
        return None
    return Load(moment, [(moment, left)], (), window, zones or {}).ends_at(per_second)
