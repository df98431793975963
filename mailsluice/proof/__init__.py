"""Proofs: copies of a campaign's message to the operator's own addresses, before it is sent."""

from mailsluice.proof.copies import checked_addresses, copies
from mailsluice.proof.delivering import deliver
from mailsluice.proof.result import Delivery, Proof

__all__ = ["Delivery", "Proof", "checked_addresses", "copies", "deliver"]
