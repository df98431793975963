"""`make image`: a campaign sent by the processes of the built image, as root, by buildah.

They run from the image's root, as its user, with the commands of compose.yaml, beside PostgreSQL,
Redis and nginx of this machine. What only a container engine does stays unproved: networks, a root
that is read-only, capabilities, health checks.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_SSL_CERT_FILE,
    PREFECT_API_URL,
    temporary_settings,
)

from blocks import SMTPConnection
from deployments.cluster.cluster import Cluster
from deployments.cluster.member import Member
from deployments.image import IMAGE, ROOT, ImageError, require, run
from tests.eventually import eventually
from tests.saved_blocks import save
from tests.smtpd import SmtpServer

RECIPIENTS = 200
USER = 10001
HOME = "/var/lib/mailsluice"
AUTHORITY = "/etc/mailsluice/ca.crt"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deployments/compose.yaml").read_text())
PATIENCE_SECONDS = 900.0


class ImageCluster(Cluster):
    """The cluster, with the image's processes in the place of this checkout's."""

    def __init__(self, folder: Path, container: str) -> None:
        super().__init__(folder, servers=1, workers=1)
        self._container = container

    def _step(self, name: str, settings: Mapping[str, str], *command: str) -> Member:
        kind = name.rstrip("-0123456789")
        service = COMPOSE["services"][kind]
        home = self.folder / "home" / name
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o755)
        member = super()._step(name, settings, *command)
        run("chown", "-R", f"{USER}:{USER}", str(home), str(self.files))
        own = {key: value for key, value in settings.items() if key != "PREFECT_API_SSL_CERT_FILE"}
        own |= service.get("environment", {})
        own |= {"MAILSLUICE_FILES": "/srv/lists:/srv/exports"} if kind == "worker" else {}
        # Their ports are this machine's.
        given = list(service["command"])
        if "--port" in given:
            given[given.index("--port") + 1] = str(self.ports[name])
            given[given.index("--host") + 1] = "127.0.0.1"
        started = ["buildah", "run", "--isolation", "chroot", "--user", f"{USER}:{USER}"]
        started += ["--volume", f"{home}:{HOME}:rw", "--volume", f"{self.files}:/srv/lists:ro"]
        started += ["--volume", f"{self._secrets / 'ca.crt'}:{AUTHORITY}:ro"]
        for key, value in own.items():
            started += ["--env", f"{key}={value}"]
        member.command = [*started, self._container, "--", *given]
        return member


def send(cluster: Cluster, prefect: SyncPrefectClient) -> int:
    """Send a campaign and return how many messages came. Raises ImageError where it fails."""
    rows = [f"person{number}@example.com" for number in range(RECIPIENTS)]
    (cluster.files / "people.csv").write_text("\n".join(["email", *rows]))
    with SmtpServer() as smtp:
        block = SMTPConnection(host=smtp.host, port=smtp.port, security="none")
        save(block, "image")
        campaign = {
            "name": "from the image",
            "recipients": {"path": "/srv/lists/people.csv"},
            "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
            "strategy": "single",
            "routes": [{"connection": "image"}],
        }
        deployment = prefect.read_deployment_by_name("send-campaign/default")
        parameters = {"campaign": campaign}
        run_id = prefect.create_flow_run_from_deployment(deployment.id, parameters=parameters).id
        ended = eventually(
            lambda: prefect.read_flow_run(run_id),
            lambda one: one.state and one.state.is_final(),
            seconds=PATIENCE_SECONDS,
        )
        if ended.state is None or not ended.state.is_completed():
            raise ImageError(f"the campaign ended as {ended.state}")
        if set(smtp.recipients) != set(rows) or set(smtp.recipients.values()) != {1}:
            raise ImageError(f"{len(smtp.received)} messages came for {RECIPIENTS} recipients")
        return len(smtp.received)


def main() -> None:
    require("buildah")
    container = run("buildah", "from", "--pull-never", IMAGE)
    try:
        with tempfile.TemporaryDirectory(prefix="mailsluice-image-", dir="/var/tmp") as name:
            folder = Path(name)
            folder.chmod(0o755)
            with ImageCluster(folder, container) as cluster:
                given = cluster.environment
                settings = {
                    PREFECT_API_URL: given["PREFECT_API_URL"],
                    PREFECT_API_AUTH_STRING: given["PREFECT_API_AUTH_STRING"],
                    PREFECT_API_SSL_CERT_FILE: given["PREFECT_API_SSL_CERT_FILE"],
                }
                with temporary_settings(settings), get_client(sync_client=True) as prefect:
                    number = send(cluster, prefect)
        print(f"{number} recipients were sent to, once each, by the processes of the image")
    finally:
        run("buildah", "rm", container)


if __name__ == "__main__":
    try:
        main()
    except ImageError as error:
        sys.exit(str(error))
