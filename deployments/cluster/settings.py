"""Settings in files of lines `NAME=value`, as compose, Kubernetes and systemd read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SERVER_ENV = FOLDER / "server.env"
ROLES_SQL = FOLDER / "roles.sql"
PROXY_TEMPLATE = FOLDER / "nginx.conf.template"


def read_settings(path: Path) -> dict[str, str]:
    """The settings of a file; blank lines and those that begin with # are left out."""
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def write_secret(path: Path, text: str) -> None:
    """A new file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(text)


def write_settings(path: Path, settings: Mapping[str, str]) -> None:
    """A new file of settings that only its owner can read."""
    write_secret(path, "".join(f"{name}={value}\n" for name, value in settings.items()))
