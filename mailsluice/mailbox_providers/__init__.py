"""Who hosts a mailbox: the provider behind a recipient's domain, by its MX hosts."""

from mailsluice.mailbox_providers.provider import (
    NO_MAIL,
    UNRESOLVED,
    provider_of_domain,
    provider_of_hosts,
    title_of,
)

__all__ = ["NO_MAIL", "UNRESOLVED", "provider_of_domain", "provider_of_hosts", "title_of"]
