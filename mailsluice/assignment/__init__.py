"""Which recipient goes over which connection, in which order, on which day."""

from mailsluice.assignment.assignment import Assignment, Keys, Positions, assign
from mailsluice.assignment.layout import Routes, lay_out
from mailsluice.assignment.placement import Placement, place

__all__ = [
    "Assignment",
    "Keys",
    "Placement",
    "Positions",
    "Routes",
    "assign",
    "lay_out",
    "place",
]
