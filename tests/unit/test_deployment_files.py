"""Rules for compose.yaml, the Kubernetes files and the Dockerfile, checked without an engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.cluster.credentials import Addresses, CredentialsError, make_credentials
from deployments.cluster.settings import PROXY_TEMPLATE, SERVER_ENV, read_settings

DEPLOYMENTS = Path(__file__).resolve().parents[2] / "deployments"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOYMENTS / "compose.yaml").read_text())
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((DEPLOYMENTS / "kustomization.yaml").read_text())
KUBERNETES: list[dict[str, Any]] = list(
    yaml.safe_load_all((DEPLOYMENTS / "kubernetes.yaml").read_text())
)
DOCKERFILE = (DEPLOYMENTS.parent / "Dockerfile").read_text()
SERVERS = ("api", "services")
OURS = ("prefect-database", "migrate", "api", "services", "register", "worker", "events")


def pods() -> dict[str, Any]:
    """The pod templates of kubernetes.yaml, by name."""
    return {
        document["metadata"]["name"]: document["spec"]["template"]
        for document in KUBERNETES
        if "template" in document["spec"]
    }


def containers() -> list[dict[str, Any]]:
    specs = [template["spec"] for template in pods().values()]
    return [
        container
        for spec in specs
        for container in [*spec.get("initContainers", []), *spec["containers"]]
    ]


def of_kubernetes(name: str) -> dict[str, Any]:
    return next(container for container in containers() if container["name"] == name)


def secrets_in_kubernetes(name: str) -> list[str]:
    given = of_kubernetes(name).get("envFrom", [])
    return [source["secretRef"]["name"] for source in given if "secretRef" in source]


def secrets_in_compose(name: str) -> list[str]:
    files = COMPOSE["services"][name].get("env_file", [])
    return [Path(file).stem for file in files if file.startswith("secrets/")]


def test_every_server_takes_its_settings_from_the_one_file() -> None:
    generated = {generator["name"]: generator for generator in KUSTOMIZATION["configMapGenerator"]}
    assert generated["prefect-server"]["envs"] == ["cluster/server.env"]
    assert (DEPLOYMENTS / "cluster" / "server.env") == SERVER_ENV
    for name in (*SERVERS, "prefect-database"):
        assert COMPOSE["services"][name]["env_file"][0] == "cluster/server.env"
        assert {"configMapRef": {"name": "prefect-server"}} in of_kubernetes(name)["envFrom"]


@pytest.mark.parametrize("name", ["postgres", "redis", *OURS])
def test_compose_and_kubernetes_run_the_same_command_with_the_same_secrets(name: str) -> None:
    service, container = COMPOSE["services"][name], of_kubernetes(name)
    in_kubernetes = container.get("command") or container["args"]
    if name != "redis":  # a shell's line: each file writes $ in its own way
        assert service["command"] == in_kubernetes
    assert secrets_in_compose(name) == secrets_in_kubernetes(name)


def test_each_process_gets_only_the_secrets_that_it_needs() -> None:
    assert {name: secrets_in_compose(name) for name in OURS} == {
        "prefect-database": ["server"],
        "migrate": ["owner"],
        "api": ["server"],
        "services": ["server"],
        "register": ["worker"],
        "worker": ["worker"],
        "events": ["worker"],
    }


def test_no_file_holds_a_secret() -> None:
    files = [
        *DEPLOYMENTS.glob("*.yaml"),
        *(DEPLOYMENTS / "cluster").iterdir(),
        DEPLOYMENTS.parent / "Dockerfile",
    ]
    literal = re.compile(
        r"(password|auth_string|encryption_key)['\"]?[=:] *['\"]?\w{8}", re.IGNORECASE
    )
    for file in (file for file in files if file.is_file() and file.suffix != ".py"):
        assert not literal.search(file.read_text()), file
        assert not re.search(r"://[^/\s$]*:[^/\s$]+@", file.read_text()), file
    assert not any("PASSWORD" in name or "AUTH" in name for name in read_settings(SERVER_ENV))


def test_the_image_and_every_pod_run_without_root() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)[-1] == "10001:10001"
    assert all(pod["spec"]["securityContext"]["runAsNonRoot"] for pod in pods().values())
    for container in containers():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"], container["name"]
        assert context["capabilities"] == {"drop": ["ALL"]}, container["name"]
        assert not context["allowPrivilegeEscalation"], container["name"]


def test_every_server_has_a_health_check() -> None:
    assert "HEALTHCHECK" in DOCKERFILE
    for name in ("postgres", "redis", "proxy"):
        assert COMPOSE["services"][name]["healthcheck"]["test"]
    assert "HEALTH_URL" in COMPOSE["services"]["api"]["environment"]
    for container in containers():
        if container["name"] not in {"prefect-database", "migrate", "register", "services"}:
            assert "readinessProbe" in container or "livenessProbe" in container


def test_only_the_proxies_can_be_reached_from_outside() -> None:
    services = COMPOSE["services"]
    exposed_services = [name for name, service in services.items() if "ports" in service]
    assert exposed_services == ["proxy", "events-proxy"]
    assert services["events-proxy"]["networks"] == ["events", "published"]
    assert services["postgres"]["networks"] == ["state"]
    assert services["redis"]["networks"] == ["messages"]
    assert "outside" not in services["api"]["networks"]
    for name in ("state", "messages", "api", "events"):
        assert COMPOSE["networks"][name] == {"internal": True}
    exposed = [
        document
        for document in KUBERNETES
        if document["kind"] == "Service" and "type" in document["spec"]
    ]
    assert not exposed


def test_two_api_servers_run_no_services_and_one_process_runs_them() -> None:
    api = COMPOSE["services"]["api"]
    assert api["deploy"]["replicas"] == 2
    assert "--no-services" in api["command"]
    assert "deploy" not in COMPOSE["services"]["services"]
    deployments = [document for document in KUBERNETES if document["kind"] == "Deployment"]
    replicas = {
        deployment["metadata"]["name"]: deployment["spec"]["replicas"] for deployment in deployments
    }
    assert (replicas["api"], replicas["services"]) == (2, 1)


def test_servers_start_after_the_schema_and_workers_after_all() -> None:
    finished = {"condition": "service_completed_successfully"}
    services = COMPOSE["services"]
    for name in SERVERS:
        assert services[name]["depends_on"]["prefect-database"] == finished
    assert services["worker"]["depends_on"] == {"migrate": finished, "register": finished}
    steps = pods()["update"]["spec"]
    order = [step["name"] for step in [*steps["initContainers"], *steps["containers"]]]
    assert order == ["prefect-database", "migrate", "register"]


def test_servers_share_state_in_redis() -> None:
    settings = read_settings(SERVER_ENV)
    shared = {name for name, value in settings.items() if value.startswith("prefect_redis.")}
    assert shared == {
        "PREFECT_SERVER_EVENTS_MESSAGING_BROKER",
        "PREFECT_SERVER_EVENTS_MESSAGING_CACHE",
        "PREFECT_SERVER_EVENTS_CAUSAL_ORDERING",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE",
        "PREFECT_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE",
    }


def test_the_proxys_variables_are_filled_in_everywhere() -> None:
    wanted = set(re.findall(r"\$\{(\w+)\}", PROXY_TEMPLATE.read_text()))
    assert set(COMPOSE["services"]["proxy"]["environment"]) == wanted
    assert {variable["name"] for variable in of_kubernetes("proxy")["env"]} == wanted


def test_the_images_context_contains_only_what_it_needs() -> None:
    lines = (DEPLOYMENTS.parent / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert lines.index("deployments/secrets") > lines.index("!deployments")
    assert "--require-hashes --requirement requirements/runtime.txt" in DOCKERFILE


def test_the_proxy_that_is_open_to_the_internet_does_not_have_the_key_of_the_ui() -> None:
    mounted = COMPOSE["services"]["events-proxy"]["volumes"]
    assert [one.partition(":")[0] for one in mounted if "secrets" in one] == [
        "./secrets/events.crt",
        "./secrets/events.key",
    ]


def test_credentials_are_created_once_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    make_credentials(folder, Addresses("https://mail.example.com/"))
    server, worker = (read_settings(folder / f"{name}.env") for name in ("server", "worker"))
    assert server["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"] == "https://mail.example.com"
    assert worker["PREFECT_API_AUTH_STRING"] == server["PREFECT_SERVER_API_AUTH_STRING"]
    assert set(worker) == {"PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "MAILSLUICE_DATABASE_URL"}
    assert {path.stat().st_mode & 0o077 for path in folder.iterdir() if path.name != "ca.crt"} == {
        0
    }
    assert (folder / "events.key").read_text() != (folder / "tls.key").read_text()
    with pytest.raises(CredentialsError, match="there already"):
        make_credentials(folder, Addresses("https://mail.example.com"))


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.example.com",  # the login would be read on the way
        "mail.example.com",
        "https://mail.example.com/prefect",  # an origin has no path
    ],
)
def test_an_address_that_no_cluster_can_have_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="no address of a cluster"):
        make_credentials(tmp_path / "secrets", Addresses(url))
    assert not (tmp_path / "secrets").exists()
