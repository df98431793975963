"""The name servers to ask, where those of the system are not to be."""

from __future__ import annotations

import os

from mailsluice.core.errors import CampaignError

NAMESERVERS = "MAILSLUICE_NAMESERVERS"


def nameservers() -> list[str]:
    """Return the name servers to ask, none for the system's. Raises CampaignError."""
    from mailsluice.mailbox_providers.mail_hosts import Resolver  # loads dnspython

    given = [part for part in os.environ.get(NAMESERVERS, "").split(",") if part.strip()]
    try:
        Resolver(given)
    except ValueError as error:
        raise CampaignError(
            f"{NAMESERVERS} is not a list of IP addresses ({error}): write them with commas, each"
            " with its port if that is not 53, as in 10.0.0.2,10.0.0.3:5353"
        ) from None
    return given
