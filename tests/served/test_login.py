"""`make serve` asks for a login where it is told to, and wherever others can reach it."""

from __future__ import annotations

import stat
from pathlib import Path

import httpx
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from blocks import SMTPConnection
from deployments.server import free_port
from tests.eventually import PATIENCE_SECONDS, eventually
from tests.prefect_database import give_database
from tests.saved_blocks import save
from tests.serving import ONE_REQUEST, CsrfToken, serving
from tests.smtpd import SmtpServer

ADDRESS = "127.0.0.2"
"""Of this machine, and none of the names of loopback: as one that others reach."""


def printed_login(home: Path) -> str:
    """Give what `make serve` has printed about a login, once it has printed the UI's address."""
    log = eventually((home / "serve.log").read_text, lambda text: "Prefect UI: " in text)
    (line,) = (line for line in log.splitlines() if line.startswith("Login: "))
    return line.removeprefix("Login: ")


def test_a_server_that_others_reach_asks_for_a_login(tmp_path: Path) -> None:
    url = f"http://{ADDRESS}:{free_port()}"
    environment = {"PREFECT_API_URL": f"{url}/api"}
    file = tmp_path / "mailsluice" / "prefect-login"
    give_database(tmp_path / "prefect")
    # An interpreter, whose server and run are forks.
    with serving(tmp_path, environment, "--host", ADDRESS, program="tests.forked.serve"):
        login = printed_login(tmp_path).split()[0]
        assert file.read_text().strip() == login
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        path = f"{url}/api/deployments/name/send-campaign/default"
        with httpx.Client(timeout=PATIENCE_SECONDS, limits=ONE_REQUEST) as anybody:
            assert anybody.get(path).status_code == 401
            assert anybody.get(path, auth=("mailsluice", "guessed")).status_code == 401
            assert anybody.get(f"{url}/ui-settings").json()["auth"] == "BASIC"
            assert anybody.get(path, headers={"Host": "localhost"}).status_code == 400
        mine, base_url = CsrfToken(login), f"{url}/api"
        with httpx.Client(
            auth=mine, base_url=base_url, timeout=PATIENCE_SECONDS, limits=ONE_REQUEST
        ) as api:
            assert sent_over(api, login, tmp_path) == ["user@example.com"]


def sent_over(api: httpx.Client, login: str, home: Path) -> list[str]:
    """Send a campaign by the deployment, whose process has to have the login too."""
    path = "/deployments/name/send-campaign/default"
    deployment = eventually(lambda: api.get(path), lambda reply: reply.status_code == 200).json()
    (home / "recipients.csv").write_text("email\nuser@example.com\n")
    campaign = {
        "name": "behind a login",
        "recipients": {"path": str(home / "recipients.csv")},
        "message": {"sender": "news@example.com", "subject": "Hi", "text": "Hello"},
        "routes": [{"connection": "red"}],
    }
    settings = {PREFECT_API_URL: str(api.base_url), PREFECT_API_AUTH_STRING: login}
    with SmtpServer() as smtp:
        with temporary_settings(settings):
            block = SMTPConnection(host=smtp.host, port=smtp.port, security="none")
            save(block, "red")
        run = api.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            json={"parameters": {"campaign": campaign}},
        ).raise_for_status()
        look = f"/flow_runs/{run.json()['id']}"
        eventually(lambda: api.get(look).json()["state_name"], lambda state: state == "Completed")
        return list(smtp.recipients)
