"""The deployments: one for each flow, with distinct names and descriptions."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import prefect

import flows
from deployments.catalogue import catalogue

DEPLOYED = catalogue()


def test_every_flow_is_deployed_once() -> None:
    modules = [path.stem for path in Path(str(flows.__file__)).parent.glob("*.py")]
    made = {
        value.name
        for module in modules
        for value in vars(import_module(f"flows.{module}")).values()
        if isinstance(value, prefect.Flow)
    }
    assert sorted(deployment.flow.name for deployment in DEPLOYED) == sorted(made)


def test_deployments_have_distinct_names_and_send_campaign_keeps_its_name() -> None:
    assert DEPLOYED[0].full_name == "send-campaign/default"
    assert DEPLOYED[0].old_name is None
    for deployment in DEPLOYED[1:]:
        assert deployment.full_name == f"{deployment.flow.name}/{deployment.flow.name}"
        assert deployment.old_name == f"{deployment.flow.name}/default"


def test_each_deployment_has_a_description_and_a_tag() -> None:
    for deployment in DEPLOYED:
        assert deployment.description.endswith(".")
        assert "{{" not in deployment.description  # Prefect fills placeholders in
        assert len(deployment.tags) == 1
    internal = [deployment.flow.name for deployment in DEPLOYED if "internal" in deployment.tags]
    assert internal == ["send-connection"]
