"""The deployments in prefect.yaml, which `make serve` serves as well."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow

_FILE = Path(__file__).with_name("prefect.yaml")
OLD_NAME = "default"
"""The former name of all deployments, which send-campaign keeps because programs call it."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment as described in prefect.yaml."""

    name: str
    flow: Flow[..., Any]
    description: str
    tags: tuple[str, ...]

    @property
    def old_name(self) -> str | None:
        """The former full name; None when the name has not changed."""
        return None if self.name == OLD_NAME else f"{self.flow.name}/{OLD_NAME}"

    @property
    def full_name(self) -> str:
        """The name that programs use: the flow's name and the deployment's."""
        return f"{self.flow.name}/{self.name}"


def catalogue() -> list[Deployed]:
    """The first deployment of each flow, in the order of the file.

    Further deployments of a flow are for other work pools: they are deployed, not served.
    """
    document = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    by_entrypoint: dict[str, Deployed] = {}
    for deployment in document["deployments"]:
        words, tags = deployment.get("description", ""), tuple(deployment.get("tags", ()))
        entrypoint = deployment["entrypoint"]
        by_entrypoint.setdefault(
            entrypoint, Deployed(deployment["name"], _flow(entrypoint), words, tags)
        )
    return [*by_entrypoint.values()]


def _flow(entrypoint: str) -> Flow[..., Any]:
    """Import a flow by its module; a file path would load it again under another name."""
    module, _, name = entrypoint.rpartition(".")
    flow: Flow[..., Any] = getattr(import_module(module), name)
    return flow
