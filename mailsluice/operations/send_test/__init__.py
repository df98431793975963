"""Sending copies of a campaign's message to the operator's own addresses."""

from mailsluice.operations.send_test.copies import checked_addresses, copies
from mailsluice.operations.send_test.delivering import deliver
from mailsluice.operations.send_test.result import Delivery, SendTestResult

__all__ = [
    "Delivery",
    "SendTestResult",
    "checked_addresses",
    "copies",
    "deliver",
]
