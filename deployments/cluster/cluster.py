"""The services of compose.yaml as processes on loopback."""

from __future__ import annotations

import json
import os
import ssl
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from deployments.cluster.credentials import Addresses, make_credentials
from deployments.cluster.member import Member
from deployments.cluster.proxy import proxy
from deployments.cluster.settings import SERVER_ENV, read_settings
from deployments.cluster.stores import postgresql, redis
from deployments.server import free_port

ROOT = Path(__file__).resolve().parents[2]
POOL = "mailsluice"


class Cluster:
    """A running cluster, for a `with` statement.

    The folder keeps databases, passwords and logs for the next start.

    `environment` is added to what servers, steps and workers are started with, `runs_per_worker`
    is how many runs a worker takes at once, `port` is the proxy's (a free one by default, kept in
    the folder). Raises ClusterError where a program is missing or a member does not come up.
    """

    postgresql: Member
    redis: Member
    proxy: Member
    services: Member

    def __init__(
        self,
        folder: Path,
        *,
        servers: int = 2,
        workers: int = 2,
        runs_per_worker: int | None = None,
        port: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.api: list[Member] = []
        self.workers: list[Member] = []
        self._number_of_servers, self._number_of_workers = servers, workers
        self._runs_per_worker = runs_per_worker
        self._given = dict(environment or {})
        self._stack = ExitStack()
        (self.folder / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ports = self._kept_ports(port)
        self.url = f"https://127.0.0.1:{self.ports['proxy']}"
        self.api_url = f"{self.url}/api"
        self._secrets = self.folder / "secrets"
        self.files = self.folder / "files"
        """The folder that campaigns may name files in."""
        self.files.mkdir(exist_ok=True)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a client: the API's address and login, its authority, the database."""
        certificate = str(self._secrets / "ca.crt")
        return self.secrets("worker") | {"PREFECT_API_SSL_CERT_FILE": certificate}

    def secrets(self, role: str) -> dict[str, str]:
        """The settings that credentials.py made for a kind of process, such as server or worker."""
        return read_settings(self._secrets / f"{role}.env")

    @property
    def members(self) -> list[Member]:
        """The processes that should be running."""
        stores = [self.postgresql, self.redis]
        return [*stores, *self.api, self.services, self.proxy, *self.workers]

    def api_server_url(self, number: int) -> str:
        """The address of an API server without the proxy."""
        return f"http://127.0.0.1:{self.ports[f'api-{number + 1}']}/api"

    def _start(self) -> None:
        if not self._secrets.exists():
            at = {name: f"127.0.0.1:{self.ports[name]}" for name in ("postgresql", "redis")}
            make_credentials(self._secrets, Addresses(self.url, self.api_url, **at))
        names = [f"api-{number + 1}" for number in range(self._number_of_servers)]
        self.redis = redis(self.folder, self.ports["redis"], self.secrets("redis"))
        self._begin(self.redis)
        self.postgresql = postgresql(
            self.folder, self.ports["postgresql"], self.secrets("postgres")
        )
        self._stack.callback(self.postgresql.stop)
        self._migrate()
        self.proxy = proxy(
            self.folder, self.ports["proxy"], [self.ports[name] for name in names], self._secrets
        )
        self._begin(self.proxy)
        self.api = [self._api_server(name) for name in names]
        self.services = self._server("services", "server", "services", "start")
        self._begin(*self.api, self.services)
        self._step("register", self.environment, "-m", "deployments.register").run()
        self.workers = [self._worker(number + 1) for number in range(self._number_of_workers)]
        self._begin(*self.workers)

    def _begin(self, *members: Member) -> None:
        """Start members side by side, and wait until all are ready."""
        for member in members:
            self._stack.callback(member.stop)
            member.start(wait=False)
        for member in members:
            member.wait_until_ready()

    def _migrate(self) -> None:
        settings = read_settings(SERVER_ENV) | self.secrets("server")
        prefect = self._step(
            "prefect-database", settings, "-m", "deployments.cluster.prefect_database"
        )
        own = self._step("migrate", self.secrets("owner"), "-m", "mailsluice.store.migrate")
        for step in (prefect, own):
            self._stack.callback(step.stop)
            step.start(wait=False)
        for step in (prefect, own):
            step.finish()

    def _server(self, name: str, *command: str) -> Member:
        settings = read_settings(SERVER_ENV) | self.secrets("server")
        return self._step(name, settings, "-m", "prefect", *command)

    def _api_server(self, name: str) -> Member:
        port = self.ports[name]
        at = ["--host", "127.0.0.1", "--port", str(port)]
        member = self._server(name, "server", "start", "--no-services", *at)
        member.is_ready = lambda: _is_ready(f"http://127.0.0.1:{port}/api/ready")
        return member

    def _worker(self, number: int) -> Member:
        name, port = f"worker-{number}", free_port()
        settings = self.environment | {
            "MAILSLUICE_FILES": os.pathsep.join([str(self.files), str(ROOT / "examples")]),
            "PREFECT_WORKER_WEBSERVER_HOST": "127.0.0.1",
            "PREFECT_WORKER_WEBSERVER_PORT": str(port),
        }
        command = ["worker", "start", "--pool", POOL, "--name", name, "--with-healthcheck"]
        if self._runs_per_worker:
            command += ["--limit", str(self._runs_per_worker)]
        member = self._step(name, settings, "-m", "prefect", *command)
        member.is_ready = lambda: _is_ready(f"http://127.0.0.1:{port}/health")
        return member

    def _step(self, name: str, settings: Mapping[str, str], *command: str) -> Member:
        """Make a Python process with these settings, and no others of Prefect or Mailsluice."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PREFECT_", "MAILSLUICE_"))
        }
        home = self.folder / "home" / name
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        homes = {
            "PREFECT_HOME": str(home),
            "MAILSLUICE_HOME": str(home),
            "MAILSLUICE_CHECKOUT": str(ROOT),
        }
        return Member(
            name,
            [sys.executable, *command],
            self.folder / "logs" / f"{name}.log",
            environment=kept | homes | dict(settings) | self._given,
            folder=ROOT,
        )

    def _kept_ports(self, port: int | None) -> dict[str, int]:
        """The ports of the last start, which are in the addresses of the secrets."""
        path = self.folder / "ports.json"
        ports: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
        names = ["proxy", "postgresql", "redis"]
        names += [f"api-{number + 1}" for number in range(self._number_of_servers)]
        if port is not None and "proxy" not in ports:
            ports["proxy"] = port
        for name in names:
            if name not in ports:
                ports[name] = free_port()
        path.write_text(json.dumps(ports))
        return ports


def _is_ready(url: str) -> bool:
    try:
        with urlopen(url, timeout=2, context=ssl.create_default_context()) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False
