"""Messages that are larger than a server takes (SIZE, RFC 1870), found before anything is sent.

Only a campaign with files can have such messages, and its servers are asked only if its files are
larger than any server has to take. A server that does not answer is no reason to refuse a campaign:
messages that are too large for it fail without being sent, as those with unusually long values do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from mailsluice.campaign import Campaign
from mailsluice.core.errors import CampaignError
from mailsluice.message.attachments import least_octets
from mailsluice.smtp.connection import Connection

TAKEN_EVERYWHERE = 64 * 1_024
"""Octets of a message that every server takes (RFC 5321 section 4.5.3.1.7)."""


async def refuse_too_large(campaign: Campaign, connections: Mapping[str, Connection]) -> None:
    """Raise CampaignError if the files of a campaign are larger than a route's server takes.

    Raises MessageError if a file cannot be read.
    """
    octets = await asyncio.to_thread(least_octets, campaign.message)
    routed = [connections[route.connection] for route in campaign.routes]
    refuse(octets, await offered_sizes(routed, octets))


def size_warnings(
    campaign: Campaign, connections: Mapping[str, Connection], octets: int
) -> list[str]:
    """Warn if the message of the first recipient, with so many octets, is too large for a route.

    Raises CampaignError if every message is. Blocking.
    """
    least = least_octets(campaign.message)
    routed = [connections[route.connection] for route in campaign.routes]
    with ThreadPoolExecutor(1) as thread:  # the caller's may have an event loop
        asked = partial(offered_sizes, routed, max(least, octets))
        limits = thread.submit(lambda: asyncio.run(asked())).result()
    refuse(least, limits)
    too_small = [*_too_small(octets, limits)]
    return too_small and [
        f"the message of the first recipient has {_shown(octets)}, and {' and '.join(too_small)}:"
        " such messages fail without being sent; shorten it"
    ]


async def offered_sizes(connections: Collection[Connection], octets: int) -> dict[str, int]:
    """Ask servers for the largest message that they take, if messages have so many octets.

    Returns the sizes in octets by connection, of the servers that have a limit and tell it.
    """
    if octets <= TAKEN_EVERYWHERE:
        return {}
    from mailsluice.smtp.asking import offer_of

    offers = await asyncio.gather(*map(offer_of, connections))
    return {
        connection.name: offer.size_limit
        for connection, offer in zip(connections, offers, strict=True)
        if offer and offer.size_limit
    }


def refuse(octets: int, limits: Mapping[str, int]) -> None:
    """Raise CampaignError if every message is too large for a connection.

    `octets` is what each message has at least.
    """
    if too_small := [*_too_small(octets, limits)]:
        raise CampaignError(
            f"each message has at least {_shown(octets)} because of its files, and"
            f" {' and '.join(too_small)}: put large files on a web server and link to them, or"
            " choose other connections"
        )


def _too_small(octets: int, limits: Mapping[str, int]) -> Iterator[str]:
    for name, limit in limits.items():
        if octets > limit:
            yield f"the server of {name} takes at most {_shown(limit)}"


def _shown(octets: int) -> str:
    return f"{octets / 1_000:,.0f} kB"
