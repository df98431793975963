"""When each recipient of a campaign may be sent to, where its window is by recipients' time zones.

Used by the engine's thread and the store's thread.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfoNotFoundError

from mailsluice.campaign.sending_window import SendingWindow
from mailsluice.campaign.zone_hours import OpenZones, ZoneHours
from mailsluice.core.errors import CampaignError
from mailsluice.core.timezones import zone as zone_of
from mailsluice.store import ZonePart


class RecipientHours:
    """The zones of a campaign's recipients, by id, and the hours of the window there."""

    def __init__(
        self,
        window: SendingWindow,
        parts: Sequence[ZonePart],
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`wall` is the clock on the wall, in seconds since the epoch.

        Raises CampaignError where this machine does not know a zone that the launch has read.
        """
        self.parts = parts
        """The recipients of each zone, in the order of their ids; a zone's number is its place."""
        self.wall = wall
        self._hours = ZoneHours(window, [part.zone for part in parts])
        self._own_zone = window.timezone or "UTC"
        self._last_ids = [part.last_id for part in parts]
        try:
            self.at(wall())  # computed here, not in the loop that sends
        except ZoneInfoNotFoundError as error:
            raise CampaignError(
                f"this machine does not know a time zone of the campaign: {error.args[0]}. Update"
                " its tz database (the package tzdata), and run the campaign again"
            ) from None

    def zone_of(self, recipient_id: int) -> int:
        """The number of a recipient's zone."""
        return bisect_left(self._last_ids, recipient_id)

    def is_open(self, recipient_id: int) -> bool:
        """Whether a recipient may be sent to now."""
        shut = self.at(self.wall()).shut
        return not shut or self.zone_of(recipient_id) not in shut

    def at(self, at: float) -> OpenZones:
        """The zones that are open at a moment."""
        return self._hours.at(at)

    def opens_at(self, zone: int, at: float) -> float:
        """When a zone opens that is closed at a moment."""
        return self._hours.spell(zone, at).until

    def opening(self, zone: int, at: float) -> str:
        """The next opening of a zone, as a clock there shows it: `09:00 in Asia/Tokyo`."""
        name = self.parts[zone].zone or self._own_zone
        moment = datetime.fromtimestamp(self.opens_at(zone, at), zone_of(name))
        return f"{moment:%H:%M} in {name}"
