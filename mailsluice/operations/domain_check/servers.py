"""Check the names of servers: those that take mail for a domain, and one's own that sends."""

from __future__ import annotations

from ipaddress import ip_address

from mailsluice.mailbox_providers.mail_hosts import Unknown
from mailsluice.operations.domain_check.finding import Topic, TopicFinding, excerpt
from mailsluice.operations.domain_check.names import Names
from mailsluice.operations.domain_check.subject import Subject, is_address

_MOST_ADDRESSES = 4
_MOST_NAMES = 5


async def mail_server_finding(subject: Subject, names: Names) -> TopicFinding:
    """Check that bounces and answers have somewhere to go. Raises Unknown."""
    domains = dict.fromkeys((subject.return_domain, subject.sender_domain))
    notes, warnings = [], []
    for domain in domains:
        exchanges = await names.exchanges(domain)
        if exchanges == [""]:
            warnings.append(
                f"{domain} says that it takes no mail (null MX), so receivers may refuse mail from"
                " it: publish an MX record, or send from another domain"
            )
        elif exchanges:
            notes.append(f"{domain}: {excerpt(', '.join(exchanges[:2]))}")
        elif await names.addresses(domain):
            notes.append(f"{domain}: its address, without MX")
        else:
            warnings.append(
                f"{domain} has no mail server (neither MX nor A), so bounces cannot return and many"
                f" receivers refuse its mail: publish an MX record for {domain}"
            )
    return TopicFinding(Topic.MAIL_SERVERS, "; ".join(notes) or "none", tuple(warnings))


async def server_addresses(subject: Subject, names: Names) -> list[str]:
    """Return the public addresses of one's own server. Raises Unknown."""
    if not subject.is_own_server:
        return []
    is_literal = is_address(subject.host)
    found = [subject.host] if is_literal else await names.addresses(subject.host)
    return [one for one in found if ip_address(one).is_global][:_MOST_ADDRESSES]


async def reverse_finding(subject: Subject, names: Names) -> TopicFinding | None:
    """Check the names of one's own server's addresses; None for a provider's. Raises Unknown."""
    if not subject.is_own_server:
        return None
    addresses = await server_addresses(subject, names)
    if not addresses:
        note = f"{subject.host} has no public address here: check that from which the mail leaves"
        return TopicFinding(Topic.REVERSE_DNS, note, is_known=False)
    notes, warnings = [], []
    for address in addresses:
        pointers = (await names.pointers(address))[:_MOST_NAMES]
        confirmed = [name for name in pointers if address in await _addresses(name, names)]
        shown = excerpt(", ".join(pointers))
        if confirmed:
            notes.append(f"{address} is {excerpt(confirmed[0])}")
        elif pointers:
            warnings.append(
                f"{address} is called {shown}, which does not have that address, and Gmail requires"
                f" both: publish A or AAAA for that name, or have the name changed at whoever"
                " rents you the address"
            )
        else:
            warnings.append(
                f"{address} ({subject.host}) has no name in reverse DNS (PTR), and Gmail refuses"
                f" its mail: have {subject.host} set at whoever rents you the address"
            )
    return TopicFinding(Topic.REVERSE_DNS, "; ".join(notes) or "see the warnings", tuple(warnings))


async def _addresses(name: str, names: Names) -> list[str]:
    try:
        return await names.addresses(name)
    except Unknown:
        return []
