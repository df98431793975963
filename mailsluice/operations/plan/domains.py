"""Check the domains of a plan's senders, beside the planning."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from mailsluice.operations.domain_check import DomainCheck, Subject
from mailsluice.operations.domain_check.finding import shared_warnings
from mailsluice.operations.identities import ConnectionIdentity
from mailsluice.smtp.connection import Connection


def begin_domain_check(
    identities: Sequence[ConnectionIdentity], connections: Mapping[str, Connection]
) -> Callable[[], list[str]]:
    """Begin to look the domains up; returns a function that waits for the warnings."""
    subjects = [
        Subject(
            identity.connection,
            connections[identity.connection].host,
            identity.sender_domain,
            identity.returned_to,
            connections[identity.connection].dkim,
        )
        for identity in identities
    ]
    thread = ThreadPoolExecutor(1, "mailsluice-dns")
    checking = thread.submit(_checked, subjects)
    thread.shutdown(wait=False)

    def warnings() -> list[str]:
        checks = checking.result()
        remarks = {f"SPF, DKIM and DMARC {check.remark}" for check in checks if check.is_unknown}
        return [*shared_warnings(checks), *sorted(remarks)]

    return warnings


def _checked(subjects: Sequence[Subject]) -> list[DomainCheck]:
    from mailsluice.operations.domain_check.checking import check_domains  # loads dnspython

    return asyncio.run(check_domains(subjects))
