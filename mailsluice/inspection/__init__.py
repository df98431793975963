"""Checking a connection before it is used: what works, what does not, and the next step."""

from mailsluice.inspection.diagnosis import Diagnosis
from mailsluice.inspection.finding import Finding, Inspection, Result, Step
from mailsluice.inspection.inspecting import inspect
from mailsluice.inspection.trial_mail import TrialMail

__all__ = ["Diagnosis", "Finding", "Inspection", "Result", "Step", "TrialMail", "inspect"]
