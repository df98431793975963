"""What a campaign would do, before it does it."""

from mailsluice.plan.plan import ConnectionPlan, Plan
from mailsluice.plan.planning import plan

__all__ = ["ConnectionPlan", "Plan", "plan"]
