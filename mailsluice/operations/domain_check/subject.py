"""The subject of a domain check: the domains of a connection's mail, and its server. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address

from mailsluice.core.organisation import is_aligned
from mailsluice.operations.domain_check.sending_providers import SendingProvider, provider_of_host
from mailsluice.smtp.dkim.settings import Dkim

_RESERVED = re.compile(r"\.(?:example\.(?:com|net|org)|example|test|invalid|localhost|local)$")


@dataclass(frozen=True, slots=True)
class Subject:
    """The domains of a connection's mail, in ASCII and lower case."""

    connection: str
    host: str
    """The SMTP server."""
    sender_domain: str
    """The domain of From; empty if it is not known."""
    return_domain: str
    """The domain of the envelope sender, to which SPF applies."""
    dkim: Dkim = field(default_factory=Dkim)

    @property
    def provider(self) -> SendingProvider | None:
        """The provider that the server belongs to, if it is a known one."""
        return provider_of_host(self.host)

    @property
    def is_example(self) -> bool:
        """Whether the sender's domain is reserved for examples and tests (RFC 2606)."""
        return _RESERVED.search(f".{self.sender_domain}") is not None

    @property
    def is_own_server(self) -> bool:
        """Whether the server is the operator's own, and delivers to the recipients' servers."""
        if self.provider is not None:
            return False
        return self.dkim.is_used or (
            not is_address(self.host) and is_aligned(self.host, self.sender_domain)
        )


def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def alignment_warning(subject: Subject) -> str | None:
    """Warn where our signature cannot count for DMARC; this needs no DNS look-up."""
    domain = subject.dkim.domain
    if domain is None or is_aligned(domain, subject.sender_domain):
        return None
    return (
        f"the mail is signed for {domain} and the sender is at {subject.sender_domain}, another"
        " organisation, so DKIM does not count for DMARC: sign with a key of the sender's domain"
    )
