"""The block of a folder with lists, on the web or in an object store, and its login."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Self
from urllib.parse import urlsplit

from prefect.blocks.core import Block
from pydantic import AfterValidator, Field, SecretStr, model_validator

from blocks.fields import CONFIG, CaFile, OrNone, Text
from blocks.form_block import FormBlock
from mailsluice.audience.remote.storage import Storage
from mailsluice.campaign.list_url import OBJECT_STORES, checked_url
from mailsluice.core.safe_url import is_safe_url


def _folder(value: str) -> str:
    if urlsplit(value).query or urlsplit(value).fragment:
        raise ValueError("the folder's URL has no ? and no #: put what follows the ? into query")
    scheme, _, rest = value.partition("://")
    if scheme in OBJECT_STORES and rest and "/" not in rest.rstrip("/"):
        return f"{value.rstrip('/')}/"  # a whole bucket
    return checked_url(value)


def _endpoint(value: str) -> str:
    if not is_safe_url(value):
        raise ValueError("write the endpoint as https://host or https://host:port")
    return value


class ListStorage(FormBlock, Block):
    """A folder with lists of addresses, on the web or in an object store, and its login."""

    _block_type_name = "List Storage"
    _block_type_slug = "list-storage"
    _description = (
        "A folder with lists of addresses, on the web or in an object store, and its login."
    )
    _code_example = (
        "```python\n"
        "from blocks import ListStorage\n\n"
        'ListStorage(address="s3://crm-exports/lists/", username="AKIA...", password="...")'
        '.save("crm")\n'
        "```"
    )

    model_config = CONFIG

    address: Annotated[Text, AfterValidator(_folder)] = Field(
        title="URL",
        description="The folder, such as https://files.example.com/lists/, s3://bucket/lists/ or"
        " gs://bucket/, or a single file. The login is used for lists in this folder only.",
    )
    username: Annotated[Text | None, OrNone] = Field(
        None,
        title="User name or access key",
        description="For https: the user name. For s3: the access key's id; for gs: the id of an"
        " HMAC key. Empty: the worker's own login.",
    )
    password: Annotated[SecretStr | None, OrNone] = Field(
        None, title="Password or secret key", description="Stored encrypted."
    )
    token: Annotated[SecretStr | None, OrNone] = Field(
        None, description="For https: a bearer token, instead of a password. Stored encrypted."
    )
    query: Annotated[SecretStr | None, OrNone] = Field(
        None,
        description="For https: what follows the ? in a presigned URL. Stored encrypted.",
    )
    endpoint: Annotated[Text | None, OrNone, AfterValidator(lambda v: v and _endpoint(v))] = Field(
        None,
        description="For s3: the https URL of another provider, such as"
        " https://account.r2.cloudflarestorage.com. Empty: Amazon.",
    )
    region: Annotated[Text | None, OrNone] = Field(
        None, description="For s3: the bucket's region. Empty: Amazon is asked for it."
    )
    ca_file: CaFile = None
    in_private_network: bool = Field(
        False,
        title="In a private network",
        description="For https: whether the server may have a private IP address, such as"
        " 10.0.0.7.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.username) != bool(self.password):
            missing = "password" if self.username else "username"
            raise ValueError(f"a user name and its password belong together: add the {missing}")
        if self.token and self.username:
            raise ValueError("a login is a password or a token, not both: clear one of them")
        if not self.address.startswith("https:") and (self.token or self.query):
            raise ValueError(
                "token and query are for https: give the access key as user name and password"
            )
        if not self.address.startswith("s3:") and (self.endpoint or self.region):
            raise ValueError("endpoint and region are for s3: clear them")
        return self

    def to_storage(self, name: str) -> Storage:
        """The storage for the engine; `name` is the block's name, as in sources."""
        names = (field.name for field in fields(Storage) if field.name != "name")
        values = {name: getattr(self, name) for name in names}
        secrets = {
            name: value.get_secret_value()
            for name, value in values.items()
            if isinstance(value, SecretStr)
        }
        return Storage(name, **{**values, **secrets})
