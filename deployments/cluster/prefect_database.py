"""`python -m deployments.cluster.prefect_database`: the step before any Prefect server starts.

Creates the schema of Prefect's database, and the block types that every Prefect server registers.
When two servers do this side by side on a new database, the second fails on the rows of the first.
"""

from __future__ import annotations

import asyncio

from prefect.server.database import provide_database_interface
from prefect.server.models.block_registration import run_block_auto_registration


async def prepare() -> None:
    """Migrate the database of PREFECT_SERVER_DATABASE_CONNECTION_URL."""
    database = provide_database_interface()
    await database.create_db()
    async with await database.session() as session:
        await run_block_auto_registration(session=session)


if __name__ == "__main__":
    asyncio.run(prepare())
