"""Links from a page to the forms of deployments, with the forms filled in. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mailsluice.core.markdown import section

LONGEST = 7_800
"""Octets of a link without the UI's own address; servers take 8,000 (RFC 9110 section 4.1)."""

# The pages of artifacts and runs are two levels below the UI's address, in both UIs and behind any
# proxy. So a relative link leads to the UI in which the page is read.
_UI = "../.."


@dataclass(frozen=True, slots=True)
class FormLink:
    """A link to the form of a deployment."""

    label: str
    deployment_id: str
    parameters: Mapping[str, Any] | None
    """Values of the form's fields, as JSON; blocks are references. None: the form is empty."""

    @property
    def address(self) -> str:
        """The address of the form, filled in unless the address would be too long."""
        return self._form if self._filled is None else f"{self._form}?parameters={self._filled}"

    def markdown(self) -> str:
        """Return the link, with a note if the form has to be filled in by hand."""
        link = f"[{self.label}]({self.address})"
        if self._filled is not None:
            return link
        if self.parameters is None:
            return f"{link} (its form is empty: fill it in)"
        return f"{link} (the campaign is too long for a link: fill in the form by hand)"

    @property
    def _form(self) -> str:
        return f"{_UI}/deployments/deployment/{self.deployment_id}/run"

    @property
    def _filled(self) -> str | None:
        if self.parameters is None:
            return None
        text = json.dumps(self.parameters, ensure_ascii=False, separators=(",", ":"))
        if len(text) > LONGEST:  # quoting never makes a text shorter
            return None
        filled = quote(text, safe="")
        return filled if len(self._form) + len("?parameters=") + len(filled) <= LONGEST else None


def form_section(links: Sequence[FormLink]) -> list[str]:
    """Return a section of a page with these links; no lines without links."""
    note = "Each link opens the form, filled in; nothing happens before **Submit**."
    is_any_filled = any(link.parameters is not None for link in links)
    lines = [f"- {link.markdown()}" for link in links]
    return section("Next steps", [*lines, *(["", note] if is_any_filled else [])])
