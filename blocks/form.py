"""The campaign's form, in which operators pick connections and databases instead of typing names.

The document is that of `mailsluice.campaign`. From a form a loaded block arrives; from Python, YAML
and the API the block's name does. The document keeps the name in both cases.
"""

from __future__ import annotations

from typing import Annotated, Any

from prefect.blocks.core import Block
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from blocks.smtp_connection import SMTPConnection
from mailsluice.campaign import Campaign, RecipientSource
from mailsluice.campaign.routes import Route
from mailsluice.campaign.source import MOST_SOURCES, one_or_several
from mailsluice.core.forms import Document


def _name_of(slug: str, type_name: str) -> BeforeValidator:
    def name(value: Any) -> Any:
        if not isinstance(value, Block):
            return value
        if value.get_block_type_slug() != slug:
            raise ValueError(
                f"this is a block of the type {value.get_block_type_name()!r}: "
                f"pick one of the type {type_name!r}"
            )
        if value._block_document_name is None:  # noqa: SLF001 - Prefect has no public name for it
            raise ValueError("the block is not saved: save it under a name, and give that name")
        return value._block_document_name  # noqa: SLF001

    return BeforeValidator(name)


def _picker(slug: str) -> WithJsonSchema:
    # Without a "type", so that the server accepts names as well as references.
    return WithJsonSchema({"block_type_slug": slug})


DATABASE_SLUG = "sqlalchemy-connector"
DATABASE_TYPE = "SQLAlchemy Connector"
"""The names of `prefect_sqlalchemy.SqlAlchemyConnector`, which only campaigns with a query load."""
STORAGE_SLUG = "list-storage"
STORAGE_TYPE = "List Storage"
"""The names of `blocks.list_storage.ListStorage`, which few campaigns load."""
MAILBOX_SLUG = "mailbox"
MAILBOX_TYPE = "Mailbox"
"""The names of `blocks.mailbox.Mailbox`, which only `collect-bounces` loads."""


ConnectionBlock = Annotated[
    str,
    Field(min_length=1, max_length=200),
    _name_of(SMTPConnection.get_block_type_slug(), SMTPConnection.get_block_type_name()),
    _picker(SMTPConnection.get_block_type_slug()),
]
MailboxBlock = Annotated[
    str,
    Field(min_length=1, max_length=200),
    _name_of(MAILBOX_SLUG, MAILBOX_TYPE),
    _picker(MAILBOX_SLUG),
]
DatabaseBlock = Annotated[str, _name_of(DATABASE_SLUG, DATABASE_TYPE), _picker(DATABASE_SLUG)]
StorageBlock = Annotated[str, _name_of(STORAGE_SLUG, STORAGE_TYPE), _picker(STORAGE_SLUG)]


class RouteForm(Route):
    """One connection of the campaign, with its share in percentage mode."""

    connection: ConnectionBlock = Field(description="The SMTP connection, or its name.")


class RecipientSourceForm(RecipientSource):
    """The source of addresses: a CSV or Parquet file, on the worker or at a URL, or a query."""

    database: DatabaseBlock | None = Field(
        None, description="The database that the query runs on, or its name."
    )
    storage: StorageBlock | None = Field(
        None,
        description="With a URL: the storage with the login, if the list needs one, or its name.",
    )


SourcesForm = Annotated[
    RecipientSourceForm
    | Annotated[
        tuple[RecipientSourceForm, ...], Field(title="Several sources", max_length=MOST_SOURCES)
    ],
    one_or_several(RecipientSourceForm),
]


class ProbeForm(Document):
    """A mailbox of your own that a test sends copies to and reads."""

    mailbox: MailboxBlock = Field(description="The mailbox, or its name.")

    @model_validator(mode="before")
    @classmethod
    def _from_mailbox(cls, value: Any) -> Any:
        """Accept a mailbox by itself, as Python callers pass it."""
        return {"mailbox": value} if isinstance(value, str | Block) else value


class CampaignForm(Campaign):
    """A campaign: recipients, message, connections with their shares, throttles."""

    recipients: SourcesForm = Field(
        description=Campaign.model_fields["recipients"].description,
    )
    exclude: SourcesForm = Field(
        RecipientSourceForm(), description=Campaign.model_fields["exclude"].description
    )
    routes: tuple[RouteForm, ...] = Field(
        min_length=1, max_length=100, description="The connections, in order."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_campaign(cls, value: Any) -> Any:
        """Accept a `Campaign`, as Python callers pass it."""
        plain = isinstance(value, Campaign) and not isinstance(value, cls)
        return value.model_dump() if plain else value
