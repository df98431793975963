"""The texts of the flows that people read in the UI."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from prefect import Flow
from prefect.deployments.runner import RunnerDeployment

import flows
from blocks import Mailbox, SMTPConnection
from flows.send_test import send_test


def all_flows() -> list[Flow[Any, Any]]:
    """Every flow of the package."""
    modules = [
        importlib.import_module(f"flows.{one.name}") for one in pkgutil.iter_modules(flows.__path__)
    ]
    return [
        one
        for module in modules
        for one in vars(module).values()
        if isinstance(one, Flow) and one.fn.__module__ == module.__name__
    ]


def parts(schema: Any) -> Iterator[dict[str, Any]]:
    """Every mapping within a schema."""
    if isinstance(schema, dict):
        yield schema
        for one in schema.values():
            yield from parts(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from parts(one)


@pytest.mark.parametrize("flow", all_flows(), ids=lambda flow: flow.name)
def test_labels_read_as_sentences(flow: Flow[Any, Any]) -> None:
    """Labels are tested in a deployment's form, which is made from the flow."""
    deployment = flow.to_deployment("default")
    assert isinstance(deployment, RunnerDeployment)
    assert deployment.description == flow.description
    schema = deployment._parameter_openapi_schema
    for name, field in schema.properties.items():
        definition = schema.definitions.get(field.get("$ref", "").rpartition("/")[2], {})
        title = field.get("title") or definition["title"]  # left out where they are the same
        assert title[0].isupper(), name
        assert "_" not in title, name
    assert flow.description
    assert "Args:" not in flow.description


@pytest.mark.parametrize("flow", all_flows(), ids=lambda flow: flow.name)
def test_a_flow_with_other_options_keeps_its_labels(flow: Flow[Any, Any]) -> None:
    one, other = (known.to_deployment("default") for known in (flow, flow.with_options(retries=1)))
    assert isinstance(one, RunnerDeployment)
    assert isinstance(other, RunnerDeployment)
    assert one._parameter_openapi_schema == other._parameter_openapi_schema
    assert one.description == other.description


@pytest.mark.parametrize("flow", all_flows(), ids=lambda flow: flow.name)
def test_no_form_shows_a_regular_expression_or_a_choice_with_null(flow: Flow[Any, Any]) -> None:
    for part in parts(flow.parameters.model_dump()):
        assert not isinstance(part.get("pattern"), str), part
        assert {"type": "null"} not in part.get("anyOf", []), part


@pytest.mark.parametrize("block", [SMTPConnection, Mailbox])
def test_no_form_of_a_block_shows_a_regular_expression_or_a_choice_with_null(
    block: type[Any],
) -> None:
    for part in parts(json.loads(json.dumps(block.model_json_schema()))):
        assert not isinstance(part.get("pattern"), str), part
        assert {"type": "null"} not in part.get("anyOf", []), part


def test_the_recipient_of_a_test_is_labelled_by_its_values() -> None:
    assert send_test.parameters.properties["recipient"]["title"] == "Values of recipient"
