"""Old campaigns go from the state database into files; nothing is deleted that is not in them."""

from mailsluice.operations.housekeeping.errors import HousekeepingError
from mailsluice.operations.housekeeping.housekeeping import keep_house
from mailsluice.operations.housekeeping.kept import Done, Kept
from mailsluice.operations.housekeeping.retention import Retention, due

__all__ = [
    "Done",
    "HousekeepingError",
    "Kept",
    "Retention",
    "due",
    "keep_house",
]
