"""Plan a campaign: show what a launch would do, without sending or storing anything."""

from mailsluice.operations.plan.plan import ConnectionPlan, Plan
from mailsluice.operations.plan.planning import plan

__all__ = [
    "ConnectionPlan",
    "Plan",
    "plan",
]
