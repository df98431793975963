"""Find out who hosts the recipients' mailboxes: by the table, the cache, and name servers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from mailsluice.audience.hosting import Hosted, Hosts, LookUps, by_table
from mailsluice.campaign import Resolve
from mailsluice.mailbox_providers import (
    NO_MAIL,
    UNRESOLVED,
    provider_of_domain,
    provider_of_hosts,
)
from mailsluice.operations.nameservers import nameservers
from mailsluice.store import Database
from mailsluice.store.mail_domains import MailDomain, MailDomains

_Result = TypeVar("_Result")

SECONDS = 60.0
"""How long a launch looks domains up."""
_SHORTEST_SECONDS, _LONGEST_SECONDS = 3_600.0, 7 * 86_400.0
"""How long an answer is kept, whatever its owner says: a launch follows its plan within the hour,
and a domain that moves is noticed within the week."""


def hosted(database: Database, how: Resolve) -> Hosted:
    """Return how to find the providers of domains. Raises CampaignError for wrong name servers."""
    if how is Resolve.OFF:
        return by_table
    return partial(_by_mail_servers, database, nameservers())


def _by_mail_servers(database: Database, servers: Sequence[str], domains: Sequence[str]) -> Hosts:
    """Find providers by the table of consumer domains, then the cache, then name servers."""
    cache = MailDomains(database)
    providers = {one: provider for one in domains if (provider := provider_of_domain(one))}
    left = [one for one in domains if one not in providers]
    known = cache.find(left)
    asked = [one for one in left if one not in known]
    answers = _looked_up(asked, servers)
    cache.record(answers)
    for answer in (*known.values(), *answers):
        providers[answer.domain] = answer.provider if answer.accepts_mail else NO_MAIL
    return Hosts(
        [providers.get(one, UNRESOLVED) for one in domains],
        LookUps(len(known), len(answers), len(asked) - len(answers)),
    )


def _looked_up(domains: Sequence[str], servers: Iterable[str]) -> list[MailDomain]:
    """Look domains up. Those without an answer are left out."""
    from mailsluice.mailbox_providers.mail_hosts import Resolver, look_up

    if not domains:
        return []
    found = _run(look_up(domains, Resolver(servers), seconds=SECONDS))
    return [
        MailDomain(
            answer.domain,
            provider_of_hosts(answer.hosts),
            not answer.takes_no_mail,
            min(max(answer.seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS),
        )
        for answer in found
        if answer.hosts is not None
    ]


def _run(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Run a coroutine to its end, also in a thread that has an event loop, which then waits."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1, "mailsluice-dns") as thread:
        return thread.submit(asyncio.run, coroutine).result()
