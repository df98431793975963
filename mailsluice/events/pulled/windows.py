"""Which time to ask for next: windows that overlap, since events arrive late. Pure.

A provider stores an event some time after it happened, up to the provider's `overlap_seconds`. A
window ends where it was opened, so the next one begins that much earlier: every event is in a
window that was opened after the event was stored. Events that are fetched twice count once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Window:
    """A time that is asked for, in seconds since the epoch."""

    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Reach:
    """How far the events of a provider reach back."""

    overlap_seconds: float
    """How late an event may be stored."""
    least_days: float
    """Days for which each account keeps its events at least."""
    most_days: float
    """Days for which some accounts keep them, and that may be asked for."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the events of a connection have been fetched."""

    account: str
    """The account that was asked; another one begins anew."""
    settled_at: float | None = None
    """All windows up to this moment are done; None before the first is."""
    window: Window | None = None
    """The window that is being fetched, if any."""
    page: str = ""
    """The next page of the window, in the provider's terms; empty for the first."""

    def after(self, next_page: str | None) -> Cursor:
        """Return the cursor once a page is recorded; None is the page after the last."""
        if next_page is not None:
            return replace(self, page=next_page)
        return self.settled()

    def restarted(self) -> Cursor:
        """Return the cursor without its window, which is to be opened again."""
        return replace(self, window=None, page="")

    def settled(self) -> Cursor:
        """Return the cursor once the window is done."""
        ends = [end for end in (self.settled_at, self.window and self.window.until) if end]
        return Cursor(self.account, max(ends, default=None))


def opened(cursor: Cursor, reach: Reach, now: float, first_at: float) -> Cursor:
    """Return a cursor with a window: the one that is open, or the next.

    Args:
        cursor: How far events have been fetched.
        reach: How far the provider's events reach back.
        now: Seconds since the epoch.
        first_at: Where to begin if nothing has been fetched.
    """
    if cursor.window:
        return cursor
    wanted = first_at
    if cursor.settled_at is not None:
        wanted = cursor.settled_at - reach.overlap_seconds
    since = min(now, max(wanted, now - reach.most_days * DAY_SECONDS))
    return replace(cursor, window=Window(since, now), page="")


def gap(cursor: Cursor, reach: Reach, now: float) -> Window | None:
    """Return the time whose events the provider may have deleted before they were fetched."""
    done = cursor.settled_at
    if done is None and cursor.window:
        done = cursor.window.since
    kept_since = now - reach.least_days * DAY_SECONDS
    return Window(done, kept_since) if done is not None and done < kept_since else None
