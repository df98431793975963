"""Who hosts the mailboxes of a domain, by rules kept as data and by MX records.

The look-up in `mail_hosts` loads dnspython; the rules need nothing.
"""

from mailsluice.mailbox_providers.provider import (
    NO_MAIL,
    UNRESOLVED,
    known_providers,
    provider_of_domain,
    provider_of_hosts,
    providers_by_table,
    title_of,
)

__all__ = [
    "NO_MAIL",
    "UNRESOLVED",
    "known_providers",
    "provider_of_domain",
    "provider_of_hosts",
    "providers_by_table",
    "title_of",
]
