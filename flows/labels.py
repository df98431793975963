"""What people read of a flow in the UI: the labels of its form, its description."""

from __future__ import annotations

from typing import Any, TypeVar

from prefect import Flow

from mailsluice.forms import title_of

_Flow = TypeVar("_Flow", bound=Flow[Any, Any])


def labelled(flow: _Flow) -> _Flow:
    """Label the form of a flow as people write: `starts_at` is "Starts at".

    Prefect labels a field with its parameter's name, unless its JSON schema has a title, and shows
    the docstring with its section about arguments, which the form has beside its fields.
    """
    for name, field in flow.parameters.properties.items():
        if field.get("title") == name:
            field["title"] = title_of(name)
        if "description" in field:
            field["description"] = " ".join(field["description"].split())
    flow.description = (flow.description or "").partition("\n\nArgs:")[0]
    return flow
