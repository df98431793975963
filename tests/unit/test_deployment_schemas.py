"""compose.yaml and the Kubernetes files, by the schemas of those who read them."""

from __future__ import annotations

from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from check_jsonschema.builtin_schemas import get_builtin_schema
from referencing.jsonschema import EMPTY_REGISTRY

from tests.unit.test_deployment_files import COMPOSE, KUBERNETES

KUBERNETES_VERSION = kubernetes_validate.latest_version()


def compose_errors(document: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(
        get_builtin_schema("vendor.compose-spec"), registry=EMPTY_REGISTRY
    )
    return [error.message for error in validator.iter_errors(document)]


def test_compose_yaml_holds_to_the_compose_specification() -> None:
    assert compose_errors(COMPOSE) == []


def test_a_misspelt_word_in_compose_yaml_would_be_found() -> None:
    worker = COMPOSE["services"]["worker"] | {"stop_grace": "60s"}
    assert compose_errors({**COMPOSE, "services": {"worker": worker}})


@pytest.mark.parametrize(
    "resource", KUBERNETES, ids=lambda one: f"{one['kind']} {one['metadata']['name']}"
)
def test_kubernetes_yaml_holds_to_its_schemas(resource: dict[str, Any]) -> None:
    """Strictly: a field that Kubernetes does not know is an error."""
    kubernetes_validate.validate(resource, KUBERNETES_VERSION, strict=True)


def test_a_misspelt_word_in_kubernetes_yaml_would_be_found() -> None:
    api = next(one for one in KUBERNETES if one["kind"] == "Deployment")
    misspelt = {**api, "spec": {**api["spec"], "replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, KUBERNETES_VERSION, strict=True)
