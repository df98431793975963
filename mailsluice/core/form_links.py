"""Links to the forms of other deployments, filled in, as they stand on a page. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mailsluice.core.markdown import section

LONGEST = 7_800
"""Octets of an address, without where the UI is; servers take 8,000 (RFC 9110 section 4.1)."""

# Pages of artifacts and of runs are two levels below where the UI is, in both UIs and behind any
# proxy: so the link stays in the UI that it is read in.
_UI = "../.."


@dataclass(frozen=True, slots=True)
class FormLink:
    """One form."""

    label: str
    deployment_id: str
    parameters: Mapping[str, Any] | None
    """Values of the form's fields, as JSON; blocks are references. None: the form is empty."""

    @property
    def address(self) -> str:
        """The form, filled in; without its fields where the address would be too long."""
        return self._form if self._filled is None else f"{self._form}?parameters={self._filled}"

    def markdown(self) -> str:
        """The link, and a word where the form has to be filled in by hand."""
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
        if len(text) > LONGEST:  # quoting never makes it shorter
            return None
        filled = quote(text, safe="")
        return filled if len(self._form) + len("?parameters=") + len(filled) <= LONGEST else None


def form_section(links: Sequence[FormLink]) -> list[str]:
    """A section of a page with these links; nothing where there are none."""
    note = "Each link opens the form, filled in; nothing happens before **Submit**."
    filled = any(one.parameters is not None for one in links)
    lines = [f"- {one.markdown()}" for one in links]
    return section("Go on from here", [*lines, *(["", note] if filled else [])])
