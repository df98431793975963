"""Fields that blocks share: host, CA file, time-out, and optional texts."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from mailsluice.core.forms import field_title

CONFIG = ConfigDict(
    extra="forbid",
    validate_default=True,
    field_title_generator=field_title,
    hide_input_in_errors=True,  # the input holds the password
)


def _host_alone(value: Any) -> Any:
    """Strip a host's name or address. Raises ValueError when the text holds more than that."""
    if not isinstance(value, str | None):
        return value
    host = (value or "").strip()
    if not host:
        raise ValueError("there is no host: write the server's name, for example smtp.example.com")
    if any(character in host for character in "/@ ") or not host.isprintable() or _has_port(host):
        alone = _HOST_IN_URL.fullmatch(host)  # other parts may hold a password
        raise ValueError(
            "this is not a host: write only the name or IP address, for example"
            f" {alone[1] if alone else 'smtp.example.com'}, and put the port in its own field"
        )
    return host


_HOST_IN_URL = re.compile(
    r"(?:[a-z]+://)?(?:[^@/\s]*@)?([A-Za-z0-9.-]+)(?::[0-9]+)?/?", re.IGNORECASE
)


def _has_port(host: str) -> bool:
    if ":" not in host:
        return False
    try:
        ip_address(host)
    except ValueError:
        return True
    return False


def _empty_is_none(value: Any) -> Any:
    return None if value == "" else value


OrNone = BeforeValidator(_empty_is_none)
Text = Annotated[str, Field(min_length=1, max_length=1_000)]
Host = Annotated[
    str,
    Field(max_length=253, description="The server's name or IP address."),
    BeforeValidator(_host_alone),
]
CaFile = Annotated[
    Text | None,
    OrNone,
    Field(
        title="CA file",
        description="PEM file, on the worker's machine, of the CA to trust instead of the"
        " system's.",
    ),
]
Timeout = Annotated[
    float, Field(gt=0, le=3_600, description="The longest wait for a reply of the server.")
]
