"""Where lists are stored, with the login that is needed to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mailsluice.campaign.list_url import lies_below


@dataclass(frozen=True, slots=True)
class Storage:
    """A folder on the web or in an object store, with its login.

    The login is sent for addresses in this folder alone: who may start a campaign can name any
    address, and must not be able to send the login there.
    """

    name: str
    """As the `storage` of sources."""
    address: str
    """The folder, such as https://files.example.com/lists/ or s3://bucket/lists/; or one file."""
    username: str | None = None
    """For basic authentication; of an object store, the id of the access key."""
    password: str | None = field(default=None, repr=False)
    """Its password; of an object store, the secret of the access key."""
    token: str | None = field(default=None, repr=False)
    """A bearer token, for https."""
    query: str | None = field(default=None, repr=False)
    """What follows the ? of a presigned address, for https."""
    endpoint: str | None = None
    """The https address of a store that is compatible with S3; None: Amazon, or Google for gs."""
    region: str | None = None
    """The region of the bucket; None: found out."""
    ca_file: str | None = None
    """A PEM file of the CA to trust instead of the system's."""
    in_private_network: bool = False
    """Whether the server may have a private address."""

    def covers(self, url: str) -> bool:
        """Whether the login may be sent to this address."""
        return lies_below(url, self.address)


Storages = Mapping[str, Storage]
"""Storages by the names in the `storage` of the sources."""
NO_STORAGES: Storages = MappingProxyType({})
