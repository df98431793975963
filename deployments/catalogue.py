"""The deployments of prefect.yaml, for `make serve`, which serves the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from prefect import Flow

_FILE = Path(__file__).with_name("prefect.yaml")
OLD_NAME = "default"
"""The name that all of them had, and that send-campaign, which other programs call, still has."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """One of them."""

    name: str
    flow: Flow[..., Any]
    description: str
    tags: tuple[str, ...]

    @property
    def old_name(self) -> str | None:
        """Its name in full as it was before, where that is another."""
        return None if self.name == OLD_NAME else f"{self.flow.name}/{OLD_NAME}"

    @property
    def full_name(self) -> str:
        """As programs call it: the flow's name and its own."""
        return f"{self.flow.name}/{self.name}"


def catalogue() -> list[Deployed]:
    """The first deployment of each flow, in the order of the file.

    More of a flow are for work pools of their own: those are deployed, and not served.
    """
    document = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    found: dict[str, Deployed] = {}
    for deployment in document["deployments"]:
        words, tags = deployment.get("description", ""), tuple(deployment.get("tags", ()))
        entrypoint = deployment["entrypoint"]
        found.setdefault(entrypoint, Deployed(deployment["name"], _flow(entrypoint), words, tags))
    return [*found.values()]


def _flow(entrypoint: str) -> Flow[..., Any]:
    """By module: by path a file would load a second time, under another name."""
    module, _, name = entrypoint.rpartition(".")
    found: Flow[..., Any] = getattr(import_module(module), name)
    return found
