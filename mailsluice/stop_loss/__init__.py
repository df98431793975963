"""Whether refusals, blocks and complaints pass their limits, and where. Pure."""

from mailsluice.stop_loss.decision import CANARY, Decision, Hold
from mailsluice.stop_loss.figures import Figures, Measure, add_figures
from mailsluice.stop_loss.judge import Finding, Judge, judge_canary
from mailsluice.stop_loss.limits import Limits
from mailsluice.stop_loss.unit import UNKNOWN, Unit

__all__ = [
    "CANARY",
    "UNKNOWN",
    "Decision",
    "Figures",
    "Finding",
    "Hold",
    "Judge",
    "Limits",
    "Measure",
    "Unit",
    "add_figures",
    "judge_canary",
]
