"""The texts of a flow that people read in the UI: labels of its form, its description."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, TypeVar

from prefect import Flow
from pydantic import Field

from mailsluice.core.forms import title_of

_Flow = TypeVar("_Flow", bound=Flow[Any, Any])


def labelled(flow: _Flow) -> _Flow:
    """Label the form of a flow as people write: `starts_at` is "Starts at".

    Prefect labels a field with its parameter's name, unless the JSON schema of its type has a
    title. Deployments make their form from the flow's signature. The section about arguments is cut
    from the description, since the form shows it beside the fields.
    """
    signature = inspect.signature(flow.fn, eval_str=True)
    unlabelled = [n for n, field in flow.parameters.properties.items() if field.get("title") == n]
    parameters = [
        parameter.replace(annotation=_titled(parameter))
        if parameter.name in unlabelled
        else parameter
        for parameter in signature.parameters.values()
    ]
    labelled_signature = signature.replace(parameters=parameters)
    # Prefect makes a deployment's form from the flow, and a flow with other options from `fn`.
    for callable_ in (flow, flow.fn):
        callable_.__signature__ = labelled_signature  # type: ignore[attr-defined]
    flow.description = (flow.description or "").partition("\n\nArgs:")[0]
    return flow


def _titled(parameter: inspect.Parameter) -> Any:
    title = Field(json_schema_extra={"title": title_of(parameter.name)})
    return Annotated[parameter.annotation, title]
