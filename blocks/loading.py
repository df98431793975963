"""Loading the blocks that a campaign names."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from pydantic import ValidationError

from blocks.smtp_connection import SMTPConnection
from mailsluice.audience.engines import SourceAccess, opened
from mailsluice.campaign.identity import Provider
from mailsluice.core.errors import CampaignError
from mailsluice.core.forms import in_words
from mailsluice.smtp.connection import Connection, host_key

if TYPE_CHECKING:
    from prefect_sqlalchemy import SqlAlchemyConnector

    from blocks.mailbox import Mailbox
    from mailsluice.audience.engines import Engines
    from mailsluice.audience.remote.storage import Storage
    from mailsluice.events.pulled.account import EventAccount
    from mailsluice.operations.events.sources import EventSource

_Block = TypeVar("_Block", bound=Block)


async def load_connections(names: Iterable[str]) -> dict[str, Connection]:
    """Load SMTP connections by the names of their blocks, and those that their warm-ups spill to.

    Raises CampaignError for a name without a block.
    """
    loaded: dict[str, Connection] = {}
    missing = list(dict.fromkeys(names))
    while missing:
        found = await asyncio.gather(*map(load_connection, missing))
        loaded.update(zip(missing, found, strict=True))
        spilled = dict.fromkeys(connection.warm_up.spill_to for connection in found)
        missing = [name for name in spilled if name and name not in loaded]
    return loaded


async def load_connection(name: str) -> Connection:
    """Load one SMTP connection by its block's name. Raises CampaignError when there is none."""
    return (await _load(SMTPConnection, name)).to_connection(name)


async def load_connection_block(name: str) -> SMTPConnection:
    """Load an SMTP connection's block by its name. Raises CampaignError when there is none."""
    return await _load(SMTPConnection, name)


async def load_host_sessions(connection: Connection) -> dict[str, int | None]:
    """Load the `max_sessions_per_host` of all other connections to the host of this one."""
    async with get_client() as client:
        documents = await client.read_block_documents_by_type(
            SMTPConnection.get_block_type_slug(), include_secrets=False
        )
    others = {document.name: document.data for document in documents if document.name}
    return {
        name: data.get("max_sessions_per_host")
        for name, data in sorted(others.items())
        if name != connection.name and host_key(str(data.get("host"))) == connection.host_key
    }


async def load_event_sources(
    of_routes: Mapping[str, Provider] | None = None,
) -> tuple[dict[str, EventSource], dict[str, str]]:
    """Load where events come from, by connection, from all SMTP connections that have a key.

    `of_routes` are the providers that campaigns choose, by connection. The second result says why
    the other blocks cannot be used, if any: they hinder no connection.
    """
    sources, unusable = {}, {}
    for name in await _names(SMTPConnection):
        try:
            block = await load_connection_block(name)
            source = block.event_source(name, (of_routes or {}).get(name))
        except CampaignError as error:
            unusable[name] = str(error)
            continue
        except ValueError as error:
            unusable[name] = f"the events key of the SMTP Connection block {name!r}: {error}"
            continue
        if source:
            sources[name] = source
    return sources, unusable


async def load_event_accounts(
    names: Iterable[str] = (),
) -> tuple[list[EventAccount], list[str]]:
    """Load whom to ask for events: about these SMTP connections, or about all that can be asked.

    The second result says why other blocks cannot be used, if any: they hinder no connection.
    """
    accounts, unusable = [], []
    chosen = list(dict.fromkeys(names))
    for name in chosen or await _names(SMTPConnection):
        try:
            account = (await load_connection_block(name)).event_account(name)
        except CampaignError as error:
            unusable.append(str(error))
            continue
        if account:
            accounts.append(account)
        elif chosen:
            unusable.append(
                f"the block {name!r} has no events API: fill it in in the Prefect UI under Blocks"
            )
    return accounts, unusable


async def load_database(name: str) -> SqlAlchemyConnector:
    """Load a database block by its name. Raises CampaignError when there is none."""
    from prefect_sqlalchemy import SqlAlchemyConnector  # few campaigns have a query

    return await _load(SqlAlchemyConnector, name)


async def load_engines(names: Iterable[str]) -> Engines:
    """Load the engines of database blocks. Raises CampaignError when one cannot be had."""
    return {name: opened(name, (await load_database(name)).get_engine) for name in names}


async def load_storages(names: Iterable[str]) -> dict[str, Storage]:
    """Load storages by the names of their blocks. Raises CampaignError for one without a block."""
    from blocks.list_storage import ListStorage  # few campaigns have a list elsewhere

    return {name: (await _load(ListStorage, name)).to_storage(name) for name in names}


async def load_access(databases: Iterable[str], storages: Iterable[str]) -> SourceAccess:
    """Load the databases and the storages that sources name. Raises CampaignError."""
    engines = await load_engines(databases)
    return SourceAccess(engines.__getitem__, await load_storages(storages))


async def load_mailbox(name: str) -> Mailbox:
    """Load a mailbox block by its name. Raises CampaignError when there is none."""
    from blocks.mailbox import Mailbox  # no campaign needs one

    return await _load(Mailbox, name)


async def load_login_block(name: str) -> SMTPConnection | Mailbox:
    """Load the block of a login that may use OAuth. Raises CampaignError when there is none.

    `name` is an SMTP connection's name, or that of a mailbox after `mailbox/`.
    """
    kind, _, rest = name.rpartition("/")
    return await (load_mailbox(rest) if kind == "mailbox" else load_connection_block(name))


async def load_secret(name: str) -> str:
    """Load the text of a Secret block by its name. Raises CampaignError when there is none."""
    from prefect.blocks.system import Secret  # message logs in Redis alone

    return str((await _load(Secret, name)).get())


async def _load(kind: type[_Block], name: str) -> _Block:
    try:
        return await kind.aload(name)
    except RuntimeError as error:
        if not isinstance(error.__cause__, ValidationError):
            raise
        raise CampaignError(
            f"the {kind.get_block_type_name()} block {name!r} cannot be used:"
            f" {in_words(error.__cause__)}. Correct it in the Prefect UI under Blocks"
        ) from None
    except ValueError as error:
        what = kind.get_block_type_name()
        known = ", ".join(await _names(kind)) or "none"
        raise CampaignError(
            f"there is no {what} block {name!r} (existing: {known}): create it in the Prefect UI"
            " under Blocks, or correct the name"
        ) from error


async def _names(kind: type[Block]) -> list[str]:
    async with get_client() as client:
        documents = await client.read_block_documents_by_type(
            kind.get_block_type_slug(), include_secrets=False
        )
    return sorted(document.name for document in documents if document.name)
