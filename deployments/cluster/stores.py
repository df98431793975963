"""The stores of a cluster: PostgreSQL with its databases and roles, and Redis."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from deployments.cluster.member import ClusterError, Member
from deployments.cluster.programs import database_user, program
from deployments.cluster.settings import ROLES_SQL, write_secret

_MINIMAL = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}


def listens(port: int) -> bool:
    """Whether a program accepts connections at this port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def postgresql(folder: Path, port: int, secrets: Mapping[str, str]) -> Member:
    """PostgreSQL in `folder/postgresql`, on loopback alone; created if the folder has none.

    `secrets` is what credentials.py gives to the role postgres.
    """
    user, data = database_user(folder), folder / "postgresql"
    is_new = not (data / "PG_VERSION").exists()
    if is_new:
        _initialise(data, user, secrets["POSTGRES_PASSWORD"])
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "password_encryption": "scram-sha-256",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    member = Member(
        "postgresql",
        [program("postgres"), "-D", str(data), *options],
        folder / "logs" / "postgresql.log",
        environment=_MINIMAL,
        is_ready=lambda: _accepts(port, secrets["POSTGRES_PASSWORD"]),
        user=user,
        folder=data,
        stop_signal=signal.SIGINT,  # ends sessions; SIGTERM would wait for them
        kill_signal=signal.SIGQUIT,  # at once, without a checkpoint: as after a crash
    )
    member.start()
    if is_new:
        try:
            _make_roles(port, secrets)
        except ClusterError:
            member.stop()
            shutil.rmtree(data)
            raise
    return member


def _initialise(data: Path, user: str | None, password: str) -> None:
    data.mkdir(mode=0o700)
    if user:
        shutil.chown(data, user, user)
    passwords = data.with_suffix(".password")  # initdb takes it from a file alone
    try:
        write_secret(passwords, password)
        if user:
            shutil.chown(passwords, user)
        options = ["-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256"]
        done = subprocess.run(
            [program("initdb"), "-D", str(data), *options, f"--pwfile={passwords}"],
            env=_MINIMAL,
            capture_output=True,
            text=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            cwd=data,
            check=False,
        )
    finally:
        passwords.unlink(missing_ok=True)
    if done.returncode:
        shutil.rmtree(data)
        raise ClusterError(f"initdb failed: {done.stderr.strip()}")


def _psql(
    port: int, password: str, *given: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-Xq", *given],
        env=_MINIMAL | {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "2"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _accepts(port: int, password: str) -> bool:
    return listens(port) and _psql(port, password, "-c", "select 1").returncode == 0


def _make_roles(port: int, secrets: Mapping[str, str]) -> None:
    done = _psql(port, secrets["POSTGRES_PASSWORD"], "-f", str(ROLES_SQL), **secrets)
    if done.returncode:
        raise ClusterError(f"the databases' roles cannot be made: {done.stderr.strip()}")


def redis(folder: Path, port: int, secrets: Mapping[str, str]) -> Member:
    """Redis in `folder/redis`, on loopback alone, which keeps its data over a restart."""
    (folder / "redis").mkdir(mode=0o700, exist_ok=True)
    configuration = f"""
bind 127.0.0.1
port {port}
dir {folder / "redis"}
requirepass {secrets["REDIS_PASSWORD"]}
appendonly yes
maxmemory-policy noeviction
"""
    return Member(
        "redis",
        [program("redis-server"), "-"],  # the password by the pipe: arguments are seen by all
        folder / "logs" / "redis.log",
        environment=_MINIMAL,
        is_ready=lambda: listens(port),
        standard_input=configuration,
    )
