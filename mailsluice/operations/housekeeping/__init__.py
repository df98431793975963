"""Housekeeping: old campaigns are archived into files, then their rows are deleted."""

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
