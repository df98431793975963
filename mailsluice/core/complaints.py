"""The limits of mailbox providers for complaints about bulk mail. Pure.

Gmail and Yahoo ask bulk senders to stay below 0.1 % and never to reach 0.3 % (their guidelines for
senders, since 2024).
"""

from __future__ import annotations

from fractions import Fraction

WARNING = "0.1"
"""Percent of the mail from which on complaints are worth a warning."""
CRITICAL = "0.3"
"""Percent of the mail at which providers begin to refuse or to hide it."""
LEAST_SENT = 1_000
"""With less mail, a single complaint would exceed the limit."""


def are_above(percent: str, complained: int, sent: int) -> bool:
    """Whether more than this percentage of the mail was complained about.

    Less mail than LEAST_SENT counts as that much.
    """
    return Fraction(complained, max(sent, LEAST_SENT)) * 100 > Fraction(percent)
