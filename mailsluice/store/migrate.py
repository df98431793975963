"""`python -m mailsluice.store.migrate`: bring the state database's schema up to date.

For databases that campaigns may not change the schema of: run it as the owner, before an update's
first campaign. Everywhere else the schema is brought up to date at start.
"""

from __future__ import annotations

from mailsluice.core.errors import OutboxError
from mailsluice.store.database import Database


def main() -> None:
    """Migrate, and end with an error where that does not work."""
    try:
        Database().close()
    except OutboxError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
