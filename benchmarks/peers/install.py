"""Gets the peers, each into a folder of its own under .bench/, so that nothing else changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from benchmarks.results import FOLDER, ROOT

_NODE_SCRIPT = Path(__file__).with_name("nodemailer.mjs")


class PeerMissingError(Exception):
    """A peer cannot be had on this machine; the message says why."""


@dataclass(frozen=True, slots=True)
class Postfix:
    """Debian's postfix: its test programs."""

    source: str
    sink: str
    environment: dict[str, str] = field(default_factory=dict)


@lru_cache
def postfix() -> Postfix:
    """smtp-source and smtp-sink: the installed ones, else unpacked from Debian's package."""
    source, sink = (_installed(name) for name in ("smtp-source", "smtp-sink"))
    if source and sink:
        return Postfix(source, sink)
    folder = FOLDER / "postfix"
    if not (folder / "usr/sbin/smtp-source").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _run("apt-get", "download", "postfix", cwd=folder)
        _run("dpkg", "-x", *map(str, folder.glob("postfix_*.deb")), ".", cwd=folder)
    programs = folder / "usr/sbin"
    environment = {"LD_LIBRARY_PATH": str(folder / "usr/lib/postfix")}
    tools = Postfix(str(programs / "smtp-source"), str(programs / "smtp-sink"), environment)
    _open_to_all(folder)
    linked = _run("ldd", tools.sink, cwd=folder, environment=environment)
    if "not found" in linked:
        raise PeerMissingError(f"postfix: a library is missing: {linked.strip()}")
    return tools


@lru_cache
def nodemailer() -> str:
    """The script that sends with nodemailer's pool, beside the package from npm."""
    if not shutil.which("npm"):
        raise PeerMissingError("nodemailer: there is no npm on this machine")
    folder = FOLDER / "node"
    if not (folder / "node_modules/nodemailer").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _run("npm", "install", "--no-fund", "--no-audit", "nodemailer", cwd=folder)
    return str(shutil.copy(_NODE_SCRIPT, folder))


@lru_cache
def prefect_email() -> str:
    """The interpreter of a venv that has prefect-email from PyPI, with our versions of Prefect."""
    folder = FOLDER / "prefect-email"
    python = folder / "bin/python"
    if not (folder / ".ready").exists():
        FOLDER.mkdir(exist_ok=True)
        _run(sys.executable, "-m", "venv", "--clear", str(folder), cwd=FOLDER)
        install = (str(python), "-m", "pip", "install", "--quiet", "prefect-email")
        _run(*install, "--constraint", _pins(folder), cwd=FOLDER)
        (folder / ".ready").touch()
    return str(python)


def _pins(folder: Path) -> str:
    """A file of the runtime's versions without hashes: pip would want one for every package."""
    locked = (ROOT / "requirements/runtime.txt").read_text().splitlines()
    versions = [line.rstrip(" \\") for line in locked if not line.startswith(" ")]
    pins = folder / "pins.txt"
    pins.write_text("\n".join(versions))
    return str(pins)


def _installed(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/lib/postfix/sbin")


def _open_to_all(folder: Path) -> None:
    """smtp-sink gives up root after its start, and must still be able to read its libraries."""
    if os.geteuid() == 0:
        folder.chmod(0o755)


def _run(*command: str, cwd: Path, environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip() or error.stdout.strip()).splitlines() or ["no reason given"]
        raise PeerMissingError(f"{' '.join(command[:3])}: {said[-1]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissingError(f"{' '.join(command[:3])}: {error}") from error
    return done.stdout
