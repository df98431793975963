"""`python -m mailsluice.store.migrate`: migrate the state database to the present schema.

Run this command as the database's owner when the role that sends campaigns may not change the
schema: after an update, and before the first campaign. Otherwise every start migrates by itself.
"""

from __future__ import annotations

from mailsluice.core.errors import OutboxError
from mailsluice.store.database import Database


def main() -> None:
    """Migrate the database, or exit with an error message."""
    try:
        Database().close()
    except OutboxError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
