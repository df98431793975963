"""Check a connection before it is used: what works, what does not, and the next step."""

from mailsluice.operations.verify_connection.diagnosis import Diagnosis
from mailsluice.operations.verify_connection.finding import (
    ConnectionCheck,
    Result,
    Step,
    StepFinding,
)
from mailsluice.operations.verify_connection.inspecting import inspect
from mailsluice.operations.verify_connection.trial_mail import TrialMail

__all__ = [
    "ConnectionCheck",
    "Diagnosis",
    "Result",
    "Step",
    "StepFinding",
    "TrialMail",
    "inspect",
]
