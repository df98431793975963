"""Old campaigns go from the state database into files; nothing is deleted that is not in them."""

from mailsluice.housekeeping.errors import HousekeepingError
from mailsluice.housekeeping.housekeeping import keep_house
from mailsluice.housekeeping.kept import Done, Kept
from mailsluice.housekeeping.retention import Ended, Retention, due

__all__ = ["Done", "Ended", "HousekeepingError", "Kept", "Retention", "due", "keep_house"]
