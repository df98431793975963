"""Storages of lists, with the logins to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mailsluice.campaign.list_url import lies_below


@dataclass(frozen=True, slots=True)
class Storage:
    """A folder on the web or in an object store, with its login.

    The login is sent only to URLs in this folder: everybody who may start a campaign can enter any
    URL, and must not be able to have the login sent there.
    """

    name: str
    """The name that sources have in `storage`."""
    address: str
    """The folder, such as https://files.example.com/lists/ or s3://bucket/lists/; or one file."""
    username: str | None = None
    """For basic authentication; of an object store, the id of the access key."""
    password: str | None = field(default=None, repr=False)
    """The user's password; of an object store, the secret of the access key."""
    token: str | None = field(default=None, repr=False)
    """A bearer token, for https."""
    query: str | None = field(default=None, repr=False)
    """The part of a presigned URL after the ?, for https."""
    endpoint: str | None = None
    """The https URL of a store that is compatible with S3; None: Amazon, or Google for gs."""
    region: str | None = None
    """The region of the bucket; None: Amazon is asked for it."""
    ca_file: str | None = None
    """A PEM file of the CA to trust instead of the system's."""
    in_private_network: bool = False
    """Whether the server may have a private IP address."""

    def covers(self, url: str) -> bool:
        """Whether the login may be sent to this URL."""
        return lies_below(url, self.address)


Storages = Mapping[str, Storage]
"""Storages by the names in the `storage` of the sources."""
NO_STORAGES: Storages = MappingProxyType({})
