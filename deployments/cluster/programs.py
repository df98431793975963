"""The programs of Debian's packages, and the users that run them."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from pathlib import Path

from deployments.cluster.member import ClusterError

_POSTGRESQL = Path("/usr/lib/postgresql")
_SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"]
_PACKAGES = {
    "initdb": "postgresql",
    "postgres": "postgresql",
    "psql": "postgresql-client",
    "redis-server": "redis-server",
    "nginx": "nginx-light",
}


def program(name: str) -> str:
    """The path of a program. Raises ClusterError with the Debian package that has it."""
    newest = sorted(_POSTGRESQL.glob("*/bin"), key=_version, reverse=True)
    path = os.pathsep.join([*map(str, newest), os.environ.get("PATH", ""), *_SYSTEM_FOLDERS])
    found = shutil.which(name, path=path)
    if found is None:
        raise ClusterError(
            f"{name} is not on this machine: apt-get install {_PACKAGES[name]} (its own service "
            "may be switched off: the cluster starts one for itself)"
        )
    return found


def _version(folder: Path) -> int:
    number = re.match(r"\d+", folder.parent.name)
    return int(number[0]) if number else 0


def database_user(folder: Path) -> str | None:
    """The user to run PostgreSQL as: `postgres` if root starts it, since PostgreSQL refuses root.

    Raises ClusterError where that user does not exist or cannot reach the folder.
    """
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        raise ClusterError(
            "there is no user postgres to run PostgreSQL as, which refuses root: apt-get install "
            "postgresql, or start the cluster as another user"
        ) from None
    closed = [one for one in folder.resolve().parents if not one.stat().st_mode & 0o001]
    if closed:
        raise ClusterError(
            f"the user postgres cannot enter {closed[0]}: give another folder, --folder, or start "
            "the cluster as another user"
        )
    return "postgres"
