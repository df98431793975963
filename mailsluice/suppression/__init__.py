"""Who gets no mail, whatever the campaign, and why."""

from mailsluice.suppression.reason import WISHES, Reason, reason_of
from mailsluice.suppression.suppression import Suppression, held_back

__all__ = ["WISHES", "Reason", "Suppression", "held_back", "reason_of"]
