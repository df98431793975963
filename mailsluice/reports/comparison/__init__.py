"""Comparison of connections: whose mail is deferred, refused or bounced less, and how sure."""

from mailsluice.reports.comparison.comparison import Comparison, Question, compare
from mailsluice.reports.comparison.observed import Measure, Observed

__all__ = [
    "Comparison",
    "Measure",
    "Observed",
    "Question",
    "compare",
]
