"""What a campaign would do, before it does it."""

from mailsluice.operations.plan.plan import ConnectionPlan, Plan
from mailsluice.operations.plan.planning import plan

__all__ = [
    "ConnectionPlan",
    "Plan",
    "plan",
]
