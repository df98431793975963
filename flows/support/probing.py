"""Read copies back from the probe mailboxes of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from blocks.loading import load_mailbox
from mailsluice.campaign import Resolve
from mailsluice.core.errors import CampaignError
from mailsluice.core.named_address import parse_mailbox
from mailsluice.mailbox_providers import UNRESOLVED, title_of
from mailsluice.oauth.tokens import TokenSource
from mailsluice.operations.mail_hosts import hosted
from mailsluice.operations.probes.delivered import Delivered
from mailsluice.operations.probes.result import Probed, ProbeResult
from mailsluice.operations.probes.watching import Probe, Watch, begin, find
from mailsluice.operations.send_test import Delivery
from mailsluice.store import Database


async def begin_watching(names: Sequence[str], tokens: TokenSource) -> list[Watch]:
    """Open the probe mailboxes of these blocks, and note where new mail begins.

    Raises CampaignError if one cannot be read, or has no address.
    """
    distinct = list(dict.fromkeys(names))
    blocks = await asyncio.gather(*map(load_mailbox, distinct))
    probes = [
        Probe(name, block.to_mailbox(name)) for name, block in zip(distinct, blocks, strict=True)
    ]
    for probe in probes:
        try:
            parse_mailbox(probe.account.recipient)
        except ValueError:
            raise CampaignError(
                f"the Mailbox block {probe.name!r} has a user name that is no address: enter where"
                " copies are sent in its field Address"
            ) from None
    return await begin(probes, tokens)


async def read_back(
    watches: Sequence[Watch],
    deliveries: Sequence[Delivery],
    marks: Mapping[tuple[str, str], str],
    database: Database,
    resolve: Resolve,
    wait_minutes: float,
) -> ProbeResult:
    """Wait for the accepted copies, and say what became of each.

    Args:
        watches: The probe mailboxes; their copies are the last ones of each delivery, in order.
        deliveries: What was sent over each connection.
        marks: What the copies' header says, by connection and probe.
        database: The state database, with the cache of mail servers.
        resolve: How to find out who hosts a mailbox.
        wait_minutes: How long copies are looked for.
    """
    providers = await asyncio.to_thread(_providers, watches, database, resolve)
    accepted = _accepted(watches, deliveries)
    awaited: dict[str, list[str]] = {}
    for (connection, probe), moment in accepted.items():
        if moment is not None:
            awaited.setdefault(probe, []).append(marks[connection, probe])
    found: dict[tuple[str, str], Delivered] = await find(
        watches, awaited, wait_seconds=60.0 * wait_minutes
    )
    troubles = {watch.probe.name: watch.trouble for watch in watches}
    copies = [
        Probed(
            connection,
            probe,
            providers[probe],
            moment,
            found.get((probe, marks[connection, probe])),
            troubles[probe],
        )
        for (connection, probe), moment in accepted.items()
    ]
    return ProbeResult(copies, wait_minutes)


def _accepted(
    watches: Sequence[Watch], deliveries: Sequence[Delivery]
) -> dict[tuple[str, str], float | None]:
    """Return when each copy was accepted, by connection and probe."""
    names = [watch.probe.name for watch in watches]
    return {
        (delivery.connection, name): delivery.accepted_at(place - len(names))
        for delivery in deliveries
        for place, name in enumerate(names)
    }


def _providers(watches: Sequence[Watch], database: Database, resolve: Resolve) -> dict[str, str]:
    """Return who hosts each probe mailbox, in the words of reports; empty where nobody knows."""
    domains = [watch.probe.account.recipient.rpartition("@")[2].lower() for watch in watches]
    hosts = hosted(database, resolve)(list(dict.fromkeys(domains)))
    titles = {
        domain: "" if provider == UNRESOLVED else title_of(provider)
        for domain, provider in zip(dict.fromkeys(domains), hosts.providers, strict=True)
    }
    return {
        watch.probe.name: titles[domain] for watch, domain in zip(watches, domains, strict=True)
    }
