"""The login of the Prefect server that `make serve` starts: made once, kept in a file."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from prefect.settings import PREFECT_SERVER_API_AUTH_STRING

from deployments.prefect_server.same_origin import LOOPBACK
from mailsluice.store import home

USER = "mailsluice"


def server_login(api_url: str, *, wanted: bool) -> str | None:
    """Give the login that a server is to ask for: always where others can reach it.

    The one that Prefect is set up with, else the one in a file in MAILSLUICE_HOME, which is made
    and printed where there is none. Raises SystemExit where that file is of no use.
    """
    configured: str | None = PREFECT_SERVER_API_AUTH_STRING.value()
    if configured or not (wanted or urlsplit(api_url).hostname not in LOOPBACK):
        return configured
    path = home() / "prefect-login"
    try:
        made, is_new = login(path)
    except (OSError, ValueError) as error:
        raise SystemExit(f"no login for the Prefect server: {error}") from error
    shown = f"{made}  (shown this once; kept in {path})" if is_new else f"the one in {path}"
    print(f"Login: {shown}", flush=True)
    return made


def login(path: Path) -> tuple[str, bool]:
    """Read the login `user:password` in a file, or make one that only the file's owner can read.

    Returns:
        The login, and whether it is new.

    Raises:
        OSError: The file can neither be read nor made.
        ValueError: The file holds no login.
    """
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        return _made(path), True
    user, _, password = found.partition(":")
    if not (user and password):  # cut short: an empty login would let everybody in
        raise ValueError(
            f"{path} holds no login of the form user:password: delete it, and a new one is made"
        )
    return found, False


def _made(path: Path) -> str:
    made = f"{USER}:{secrets.token_urlsafe(24)}"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made + "\n")
    return made
