"""Check the domain of the sender who would use a connection."""

from __future__ import annotations

from mailsluice.message import ascii_domain
from mailsluice.operations.domain_check import DomainCheck, Subject
from mailsluice.operations.verify_connection.trial_mail import TrialMail
from mailsluice.smtp.connection import Connection


async def check_sender(connection: Connection, trial: TrialMail) -> DomainCheck:
    """Check the domain of the test mail's sender, else of the connection's identity."""
    from mailsluice.operations.domain_check.checking import check_domains  # loads dnspython

    sender = trial.sender or connection.identity.sender or ""
    returned_to = sender if trial.sender else connection.identity.return_path or sender
    subject = Subject(
        connection.name,
        connection.host,
        _domain(sender),
        _domain(returned_to),
        connection.dkim,
    )
    (check,) = await check_domains([subject])
    return check


def _domain(address: str) -> str:
    try:
        return ascii_domain(address).lower() if address else ""
    except ValueError:  # IDNAError too
        return ""
