"""`make cluster`: start a whole cluster on this machine, and stop it at Ctrl-C."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from deployments.cluster.cluster import Cluster
from deployments.server import exit_on_sigterm
from mailsluice.core.errors import MailsluiceError
from mailsluice.store.database import home

PORT = 8443
_LOOK_SECONDS = 2.0
_ROOTS_FOLDER = Path("/var/lib/mailsluice-cluster")  # PostgreSQL's user cannot enter /root


def main() -> None:
    """Start a cluster, print how to reach it and which members end, and stop it at Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m deployments.cluster", description=__doc__)
    parser.add_argument("--folder", type=Path, default=default_folder(), help="keeps all state")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--port", type=int, default=PORT, help="of the UI, at the first start")
    given = parser.parse_args()
    exit_on_sigterm()
    print(f"Starting a cluster in {given.folder} (half a minute)", flush=True)
    try:
        with Cluster(given.folder, workers=given.workers, port=given.port) as cluster:
            print(instructions(cluster), flush=True)
            _watch(cluster)
    except KeyboardInterrupt:
        pass
    except MailsluiceError as error:
        raise SystemExit(str(error)) from None


def default_folder() -> Path:
    """The folder `cluster` under MAILSLUICE_HOME; without that, for root, under /var/lib."""
    if os.geteuid() == 0 and not os.environ.get("MAILSLUICE_HOME"):
        return _ROOTS_FOLDER
    return home() / "cluster"


def instructions(cluster: Cluster) -> str:
    """The cluster's addresses and folders, and the variables to export in another terminal."""
    exports = [f"export {name}='{value}'" for name, value in cluster.environment.items()]
    login = cluster.environment["PREFECT_API_AUTH_STRING"]
    lines = [
        f"UI: {cluster.url}  (its certificate is signed by {cluster.folder / 'secrets/ca.crt'})",
        f"It asks for a password: {login}",
        "For another terminal:",
        *(f"    {line}" for line in exports),
        f"Logs: {cluster.folder / 'logs'}  (Ctrl-C ends everything)",
    ]
    return "\n".join(lines)


def _watch(cluster: Cluster) -> None:
    """Print the name of each member that has ended; the others continue."""
    told: set[str] = set()
    while True:
        for member in cluster.members:
            if not member.is_running and member.name not in told:
                told.add(member.name)
                print(f"{member.name} has ended: see {member.log}", flush=True)
        time.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    main()
