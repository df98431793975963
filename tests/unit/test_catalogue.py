"""The deployments: one of each flow, with a name and words that people can tell apart."""

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


def test_names_tell_them_apart_and_the_one_that_programs_call_stays() -> None:
    assert DEPLOYED[0].full_name == "send-campaign/default"
    assert DEPLOYED[0].old_name is None
    for deployment in DEPLOYED[1:]:
        assert deployment.full_name == f"{deployment.flow.name}/{deployment.flow.name}"
        assert deployment.old_name == f"{deployment.flow.name}/default"


def test_each_says_what_it_does_and_what_it_belongs_to() -> None:
    for deployment in DEPLOYED:
        assert deployment.description.endswith(".")
        assert "{{" not in deployment.description  # Prefect fills placeholders in
        assert len(deployment.tags) == 1
    internal = [deployment.flow.name for deployment in DEPLOYED if "internal" in deployment.tags]
    assert internal == ["send-connection"]
