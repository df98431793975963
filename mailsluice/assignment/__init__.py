"""Assign recipients to connections, to places in the send order, and to days."""

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
