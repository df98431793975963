"""Mailbox providers: which one hosts a domain's mailboxes, and what its replies ask for.

The rules are data. Only the look-up of MX records in `mail_hosts` loads more: dnspython.
"""

from mailsluice.mailbox_providers.blame import Action, Blame, blamed
from mailsluice.mailbox_providers.provider import (
    NO_MAIL,
    UNRESOLVED,
    is_known_by_domain,
    known_providers,
    provider_of_domain,
    provider_of_hosts,
    providers_by_table,
    title_of,
)

__all__ = [
    "NO_MAIL",
    "UNRESOLVED",
    "Action",
    "Blame",
    "blamed",
    "is_known_by_domain",
    "known_providers",
    "provider_of_domain",
    "provider_of_hosts",
    "providers_by_table",
    "title_of",
]
