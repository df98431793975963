"""Which connection's mail fares better, and whether the mail sent so far can tell. Pure."""

from mailsluice.reports.comparison.comparison import Comparison, Question, compare
from mailsluice.reports.comparison.observed import Measure, Observed

__all__ = [
    "Comparison",
    "Measure",
    "Observed",
    "Question",
    "compare",
]
