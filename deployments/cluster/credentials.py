"""`python -m deployments.cluster.credentials FOLDER --url https://mail.example.com`.

Creates a new folder with the secrets of a cluster: a certificate for each proxy, and for each kind
of process a file with the settings that this kind needs. All passwords are random.
"""

from __future__ import annotations

import argparse
import secrets
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.fernet import Fernet

from deployments.cluster.certificates import issue
from deployments.cluster.settings import write_secret, write_settings
from mailsluice.core.errors import MailsluiceError


class CredentialsError(MailsluiceError):
    """The folder of secrets cannot be made."""


@dataclass(frozen=True)
class Addresses:
    """The members' addresses (`host:port`), by default those of compose."""

    url: str
    """The UI's address in the browser, such as `https://mail.example.com`."""
    api_url: str = "https://proxy:8443/api"
    """The API's address for the workers."""
    postgresql: str = "postgres:5432"
    redis: str = "redis:6379"

    @property
    def hosts(self) -> list[str]:
        """Names and addresses that the proxy's certificate is for."""
        named = [urlsplit(url).hostname or "" for url in (self.url, self.api_url)]
        return list(dict.fromkeys([*named, "localhost", "127.0.0.1"]))


def make_credentials(folder: Path, addresses: Addresses) -> None:
    """Write the files into a folder, which is made, readable to its owner alone.

    Raises CredentialsError where it is there already: new passwords would lock everybody out.
    """
    url = urlsplit(addresses.url)
    if url.scheme != "https" or not url.hostname or url.path not in {"", "/"}:
        raise CredentialsError(
            f"{addresses.url!r} is no address of a cluster: give https:// and a host, with a port "
            "where it is not 443"
        )
    try:
        folder.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        raise CredentialsError(
            f"{folder} is there already, and its passwords are in use: delete it only together "
            "with the cluster's databases"
        ) from None
    for role, settings in _settings(addresses).items():
        write_settings(folder / f"{role}.env", settings)
    issued = issue(addresses.hosts)
    for name, of_proxy in {
        "tls": issued,
        "events": issue(addresses.hosts),  # its proxy is open to the internet: no key in common
    }.items():
        write_secret(folder / f"{name}.crt", of_proxy.certificate)
        write_secret(folder / f"{name}.key", of_proxy.key)
    (folder / "ca.crt").write_text(issued.authority)


def _settings(addresses: Addresses) -> dict[str, dict[str, str]]:
    """The settings of each kind of process, by the name of its file."""
    superuser, prefect, owner, mailsluice, redis, login = (
        secrets.token_urlsafe(24) for _ in range(6)
    )
    redis_url = f"redis://:{redis}@{addresses.redis}/0"
    at_database = f"@{addresses.postgresql}/"
    return {
        "postgres": {
            "POSTGRES_PASSWORD": superuser,
            "PREFECT_PASSWORD": prefect,
            "MAILSLUICE_OWNER_PASSWORD": owner,
            "MAILSLUICE_PASSWORD": mailsluice,
        },
        "redis": {"REDIS_PASSWORD": redis},
        "server": {
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": (
                f"postgresql+asyncpg://prefect:{prefect}{at_database}prefect"
            ),
            "PREFECT_SERVER_DOCKET_URL": redis_url,
            "PREFECT_REDIS_MESSAGING_URL": redis_url,
            "PREFECT_REDIS_WORKER_CLEANUP_QUEUE_URL": redis_url,
            "PREFECT_SERVER_API_AUTH_STRING": f"mailsluice:{login}",
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": addresses.url.rstrip("/"),
            # Without it Prefect keeps the key of its blocks beside them, in the same database.
            "PREFECT_SERVER_ENCRYPTION_KEY": Fernet.generate_key().decode(),
        },
        "owner": {
            "MAILSLUICE_DATABASE_URL": (
                f"postgresql://mailsluice_owner:{owner}{at_database}mailsluice"
            ),
        },
        "worker": {
            "PREFECT_API_URL": addresses.api_url,
            "PREFECT_API_AUTH_STRING": f"mailsluice:{login}",
            "MAILSLUICE_DATABASE_URL": (
                f"postgresql://mailsluice:{mailsluice}{at_database}mailsluice"
            ),
        },
    }


def main() -> None:
    """Create the folder of secrets that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m deployments.cluster.credentials")
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--url", required=True, help="of the UI: https://mail.example.com")
    given = parser.parse_args()
    try:
        make_credentials(given.folder, Addresses(given.url))
    except MailsluiceError as error:
        raise SystemExit(str(error)) from None
    print(f"made in {given.folder}: keep it, and a copy of it elsewhere")
    print(f"the login of the UI is PREFECT_API_AUTH_STRING in {given.folder / 'worker.env'}")


if __name__ == "__main__":
    main()
