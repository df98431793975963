"""The login of the Prefect server that `make serve` starts, created once and kept in a file."""

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
    """The login that the server requires, or None when it requires none.

    A server that other machines can reach always requires a login. The login is that of Prefect's
    settings or else that of a file in MAILSLUICE_HOME, which is created and printed when missing.
    Raises SystemExit when the file cannot be used.
    """
    configured: str | None = PREFECT_SERVER_API_AUTH_STRING.value()
    if configured or not (wanted or urlsplit(api_url).hostname not in LOOPBACK):
        return configured
    path = home() / "prefect-login"
    try:
        made, is_new = login(path)
    except (OSError, ValueError) as error:
        raise SystemExit(f"no login for the Prefect server: {error}") from error
    shown = f"{made}  (shown once; stored in {path})" if is_new else f"the one in {path}"
    print(f"Login: {shown}", flush=True)
    return made


def login(path: Path) -> tuple[str, bool]:
    """Read the login `user:password` from a file, or create the file, readable by its owner only.

    Returns:
        The login, and whether it is new.

    Raises:
        OSError: The file can be neither read nor created.
        ValueError: The file holds no login.
    """
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        return _made(path), True
    user, _, password = found.partition(":")
    if not (user and password):  # an empty login would admit everybody
        raise ValueError(
            f"{path} holds no login of the form user:password: delete it, and start again"
        )
    return found, False


def _made(path: Path) -> str:
    made = f"{USER}:{secrets.token_urlsafe(24)}"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made + "\n")
    return made
